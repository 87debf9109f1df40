/* The keys of the authority: numbers of catalogs when they are replaced, keys that are too weak, trust documents that fork.
 * bash test/formal/authority.sh   runs every row.
 * The relay is the adversary and holds the deriver's signing key, too: it makes a head for whatever it likes (release.pml says for
 * how long), so only what the authority signed stands in its way.  It also holds the authority keys STOLEN.
 * Keys are bits.  Trust documents 0 to 3 list the keys K0 to K3 with the thresholds H0 to H3 and are published in this order; the
 * honest authority signs catalogs, numbered on and on, with every key of the newest document.  The thief signs one catalog with
 * the highest number there is, with the keys it has, whenever it likes.  Signatures can be left out on the way: they are no part of a
 * document [env-8], so a catalog counts if enough of its signers are listed [env-9].
 * One client, which keeps its state: the newest trust document it followed, the number of its catalog, the catalog itself.
 * Switches: FORGET=n  the number kept no longer counts ...  0 never  1 with every new trust document  2 with every other set of keys
 *                     3 where fewer of the earlier keys are kept than the new threshold [catalog-3]
 *           KEPT      no catalog delivered: the one kept counts under a new trust document (what [catalog-1] forbids)
 *           WEAK=b    keys with which everybody signs (small order)
 *           STRONG    a trust document with such a key is not followed [trust-8]
 *           ALONE     a trust document is signed by its own threshold alone (what [trust-3] forbids)
 *           FLOOR     the app pins number and hash of document 1 [trust-7]
 *           EARLY     P_BACK also counts what was taken under an earlier document than the one it was signed under: no honest head
 *                     puts the two together
 * Properties: P_BACK    the client never takes an honest catalog that is older than one it took
 *             P_LOCK    under the newest document it takes the newest catalog, if the stolen keys are below the threshold there
 *             P_THIEF   it uses no catalog of the thief under a document where the stolen keys are below the threshold
 *             P_FORK    it follows no other document 1 than the published one, once that is published                        */
#ifndef K1
#define K1 K0
#endif
#ifndef K2
#define K2 K1
#endif
#ifndef K3
#define K3 K2
#endif
#ifndef H0
#define H0 1
#endif
#ifndef H1
#define H1 H0
#endif
#ifndef H2
#define H2 H1
#endif
#ifndef H3
#define H3 H2
#endif
#ifndef STOLEN
#define STOLEN 0
#endif
#ifndef WEAK
#define WEAK 0
#endif
#ifndef FORGET
#define FORGET 3
#endif
#define N 5
#define TOP 9                              /* the thief's number, and the name of its catalog */
#define count(x) (((x) & 1) + (((x) >> 1) & 1) + (((x) >> 2) & 1) + (((x) >> 3) & 1))
#define safe(t) (count(key[t] & STOLEN) < thr[t])
byte key[4], thr[4];
byte newest = 0;                           /* trust document */
byte n = 0, by[10], under[10];             /* catalogs signed; by whom; the newest document then */
byte ctd = 0, cnum = 0, ccat = 0, chon = 0;     /* the client: document, number kept, catalog kept, highest honest one it ever took */

active proctype Authority() {
  atomic { key[0] = K0; key[1] = K1; key[2] = K2; key[3] = K3; thr[0] = H0; thr[1] = H1; thr[2] = H2; thr[3] = H3;
    by[TOP] = STOLEN | WEAK; n = 1; by[1] = K0 | WEAK }
  do
  :: atomic { n < N -> n++; by[n] = key[newest] | WEAK; under[n] = newest }
  :: atomic { newest < 3 && n < N -> newest++; n++; by[n] = key[newest] | WEAK; under[n] = newest }   /* the first catalog under it comes along */
  :: n == N -> break
  od
}
active proctype Relay() {
  byte t, c; bool ok, reset;
  n > 0;
  do
  :: atomic {                              /* trust documents up to t, and catalog c */
       t = ctd; do :: t < newest -> t++ :: break od;
       if :: c = TOP :: c = 1; do :: c < n -> c++ :: break od fi;
       ok = count(by[c] & key[t]) >= thr[t];
#ifdef STRONG
       ok = ok && (t == ctd || ((key[t] & WEAK) == 0 && (ctd + 1 >= t || (key[ctd + 1] & WEAK) == 0)));
#endif
       reset = cnum == 0;
#if FORGET == 1
       reset = reset || t != ctd;
#endif
#if FORGET == 2
       reset = reset || key[t] != key[ctd];
#endif
#if FORGET == 3
       reset = reset || count(key[t] & key[ctd]) < thr[t];
#endif
       if
       :: ok && (reset || c >= cnum) ->
#ifdef P_BACK
          assert(c == TOP || c >= chon);
#endif
          ctd = t; cnum = c; ccat = c;
#ifdef EARLY
          if :: c != TOP && c > chon -> chon = c :: else fi
#else
          if :: c != TOP && c > chon && under[c] <= t -> chon = c :: else fi
#endif
       :: else ->
#ifdef P_LOCK
          assert(!(ok && c == n && t == newest && safe(t)));
#endif
          skip
       fi;
#ifdef P_THIEF
       assert(!(ccat == TOP && safe(ctd)));
#endif
       t = 0; c = 0; ok = false; reset = false }
#ifdef KEPT
  :: atomic { ctd < newest && ccat != 0 -> ctd++;
#ifdef P_THIEF
       assert(!(ccat == TOP && safe(ctd)))
#endif
     }
#endif
#ifdef P_FORK
  :: atomic { ctd == 0 && newest > 0 ->    /* another document 1, with keys of the thief's own */
#ifdef ALONE
       ok = true;
#else
       ok = count(key[0] & (STOLEN | WEAK)) >= thr[0];
#endif
#ifdef FLOOR
       ok = false;
#endif
       assert(!ok); ok = false }
#endif
  :: n == N -> break
  od
}
