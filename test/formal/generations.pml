/* Generations, versions, restore and several derivers: can a removed member compute the key that honest members are told to
 * encrypt under?      bash test/formal/generations.sh   runs every row (Spin 6.5); one row by hand:
 *   spin -DRESTORE -a generations.pml && gcc -O1 -DSAFETY -o pan pan.c && ./pan
 *
 * One keyring.  Member X is removed at some point [deriver-3] and stays on the list of its CA [deriver-4], so it stays removed
 * after a restore.  X keeps every KEK it ever got and reads every bundle ever made: the relay keeps and shows them all, also
 * those of a push that it refused.  A bundle holds every version of the keyring that was not skipped, and the member leaf of X
 * gives it the KEK of each generation that it is in [open-17], [open-19].
 * A key is what goes into its label (PROTOCOL, "Derivation"):  KEK = (generation), version = (number), and with
 *   SALTK     the KEK label also a fresh random salt
 *   SALTV     the version label also a fresh random nonce
 *   INC       both labels the incarnation
 * As built: all three.
 * Switches: PRE     a version may be bundled ahead of its activation (PROTOCOL allows it; the deriver as built never does)
 *           SKIP    after a removal, versions that were in any bundle of an earlier generation are never activated [deriver-3]
 *           RESTORE the database of the deriver may go back once to an earlier backup; one that knows X as a member processes
 *                   its removal before its first head, because of the fresh revocation list [trust-4], [deriver-4]
 *           RAISE   a restore also raises the incarnation: a new generation and a new version, and no version of an earlier
 *                   incarnation encrypts any more [use-2]
 *           NOCRL   a restored deriver signs its first head without that list
 *           HA      two instances, each with its own copy of the database
 *           STORE   with HA: one linearizable store for generations, versions, members and heads [deriver-1]
 *           NOBUMP  a removal makes a new version but no new generation
 *           NOVER   a removal makes a new generation but no new version                                                        */
#define MAXN 4                          /* generations and versions are numbered 0 to MAXN */
#define FRESH 6                         /* salts and nonces */
#define MAXID 17                        /* ids: number + 5 * incarnation, or 10 and up where random */
#ifndef S
#define S 6
#endif
#ifdef STORE
#define ix(d) 0
#else
#define ix(d) d
#endif
#define canver(d) (top[d] < MAXN && freshv < FRESH)
#define cangen(d) (gen[d] < MAXN && freshk < FRESH)

byte gen[2], top[2];                    /* database d: its generation, its highest version */
bool xm[2];                             /* database d: X is a member */
bool done[2];                           /* database d: X's removal has been processed */
byte kekid[2], verid[2], pre_[2];       /* database d: the KEK, the version to encrypt with, the one bundled ahead (0 none) */
bool has[34];                           /* has[17*d + id]: a version of database d that its bundles hold */
byte bgen, btop, bkekid, bverid, bpre; bool bxm, bdone, bhas[17];        /* the backup */
bool backed = false, restored = false, revoked = false;
byte inc = 0, freshk = 0, freshv = 0, steps = 0;
bool xk[MAXID];                         /* KEKs that X has */
bool pubd[289];                         /* pubd[17*kek + version]: such a bundle was made */

inline newgen(d) {
#ifdef SALTK
  freshk++; kekid[d] = 10 + freshk
#else
#ifdef INC
  kekid[d] = gen[d] + 5*inc
#else
  kekid[d] = gen[d]
#endif
#endif
}
inline newver(d, out) {
#ifdef SALTV
  freshv++; out = 10 + freshv;
#else
#ifdef INC
  out = top[d] + 5*inc;
#else
  out = top[d];
#endif
#endif
  has[17*d + out] = true
}
/* The next version becomes the one to encrypt with: the one bundled ahead, if there is one. */
inline advance(d) {
  if :: pre_[d] != 0 -> verid[d] = pre_[d]; pre_[d] = 0
     :: else -> top[d]++; newver(d, verid[d])
  fi
}
/* A bundle is made, and every head after it says: encrypt under verid.  X must not have that one once its removal was processed,
 * nor after a restore of a database that had processed it. */
inline publish(d) {
  i = 0;
  do :: i < MAXID -> if :: has[17*d + i] -> pubd[17*kekid[d] + i] = true :: else fi; i++
     :: else -> break od;
  if :: xm[d] -> xk[kekid[d]] = true :: else fi;
  if :: done[d] || (revoked && restored && d == 0) ->
        i = 0;
        do :: i < MAXID -> assert(!(xk[i] && pubd[17*i + verid[d]])); i++
           :: else -> break od
     :: else fi;
  i = 0
}
/* Somebody leaves: a new generation, and a version that was never in a bundle of an earlier one [deriver-3]. */
inline rekey(d) {
#ifndef NOBUMP
  gen[d]++; newgen(d);
#endif
#ifdef SKIP
  if :: pre_[d] != 0 -> has[17*d + pre_[d]] = false; pre_[d] = 0 :: else fi;
#endif
#ifndef NOVER
  advance(d)
#endif
}
inline act(d) {
  if
  :: canver(d) -> advance(d); publish(d)                                      /* rotate */
#ifdef PRE
  :: pre_[d] == 0 && canver(d) -> top[d]++; newver(d, pre_[d]); publish(d)    /* bundle a version ahead */
#endif
  :: cangen(d) -> gen[d]++; newgen(d); publish(d)                             /* the generation is older than generationMaxAge */
  :: xm[d] && cangen(d) && canver(d) ->                                       /* X leaves */
     revoked = true; xm[d] = false; rekey(d); done[d] = true; publish(d)
  :: cangen(d) && canver(d) -> rekey(d); publish(d)                           /* another member leaves */
  :: else -> steps = S
  fi
}
active proctype World() {
  byte i;
  atomic {
    xm[0] = true; newgen(0); newver(0, verid[0]); publish(0);
    xm[1] = true; kekid[1] = kekid[0]; verid[1] = verid[0]; has[17 + verid[0]] = true
  }
  do
  :: atomic { steps < S -> steps++; act(ix(0)) }
#ifdef HA
  :: atomic { steps < S -> steps++; act(ix(1)) }
#endif
#ifdef RESTORE
  :: atomic { !backed -> backed = true; bgen = gen[0]; btop = top[0]; bkekid = kekid[0]; bverid = verid[0]; bpre = pre_[0];
       bxm = xm[0]; bdone = done[0];
       i = 0; do :: i < MAXID -> bhas[i] = has[i]; i++ :: else -> break od; i = 0 }
  :: atomic { backed && !restored -> restored = true; inc++;
       gen[0] = bgen; top[0] = btop; kekid[0] = bkekid; verid[0] = bverid; pre_[0] = bpre; xm[0] = bxm; done[0] = bdone;
       i = 0; do :: i < MAXID -> has[i] = bhas[i]; i++ :: else -> break od; i = 0;
#ifdef RAISE
       if :: cangen(0) && canver(0) -> gen[0]++; newgen(0); pre_[0] = 0; top[0]++; newver(0, verid[0])
          :: else -> steps = S fi;
#endif
       if
#ifndef NOCRL
       :: revoked && xm[0] && cangen(0) && canver(0) -> xm[0] = false; rekey(0); done[0] = true
       :: revoked && xm[0] && !(cangen(0) && canver(0)) -> steps = S
#endif
       :: else fi;
       if :: steps < S -> publish(0) :: else fi }
#endif
  :: steps >= S -> break
  od
}
