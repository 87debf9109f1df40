/* Heads, catalogs, trust document and revocation lists together: what a relay can do alone, and with a stolen deriver key.
 * (freshness.pml has the head alone, authority.pml the keys of the authority.)      bash test/formal/release.sh   runs every row.
 * The authority signs catalog 1 at time 0 and catalog 2 at some later time t2; 2 withdraws what 1 allowed, by a manifest with a
 * higher number.  A head names incarnation, version, catalog, revocation list and time of issue; the relay serves any client any
 * head at any time.  A client accepts a head, expired or not, and encrypts later under the last one that it accepted.
 * Client 0 keeps its state, client 1 never does; of the two a property is asked of the one that can fail it.
 * THIEF     a thief holds the deriver's signing key: it signs any head at any time, over any catalog that the authority signed.
 *           At some time tr the CA lists that certificate, on list 1; a new certificate signs from then on.
 * Switches: VIARELAY  the deriver learns catalog 2 through the relay, and so perhaps never (what [deriver-2] forbids)
 *           CATX      a catalog expires MX ticks after signing and is then not encrypted under [use-1]; the authority signs the
 *                     newest again at each tick
 *           MONO      the highest catalog and manifest numbers are kept [catalog-2], [open-13]
 *           CRLX      the signer's certificate is covered by the list that the head names, which is inside its nextUpdate, C ticks
 *                     after the next one was made [path-8], and never lower than one seen [open-7]
 *           INCFREE   the incarnation is whatever the head says; higher wins
 *           INCTD     the head's incarnation equals that of the newest trust document [open-5], [open-6]; recovery raises it there
 *           MINCRL    `lowestCrls` of that trust document: no lower list counts under it [open-7]
 * Always:   a head expires D ticks after issue [open-3], [use-1], is not of the future [open-4], and not below the last one of
 *           client 0, nor another one of its number [open-8]
 * Properties: P_MAN      nobody encrypts under catalog 1 later than BOUND ticks after t2
 *             P_BACK     client 0 never goes back to a lower catalog
 *             P_THIEF    nobody accepts a head of the stolen key later than C ticks after tr
 *             P_USE      nobody encrypts under one later than BOUND ticks after tr
 *             P_RECOVER  after the recovery client 0 accepts the newest honest head over the newest catalog                                          */
#define T 4
#define D 1
#define MX 2
#define C 2
#ifndef BOUND
#define BOUND D
#endif
#define NH 4
#if defined(P_BACK) || defined(P_RECOVER)
#define CL 0
#else
#define CL 1      /* accepts most */
#endif
byte now = 0, nh = 0;
byte hi[NH], hv[NH], hm[NH], ht[NH]; bool hn[NH];     /* honest heads; hn: by the new certificate, and so under list 1 */
byte t2 = 255, tr = 255;
byte inc = 0, hver = 0;                               /* incarnation of the trust document and of the deriver, its last version */
bool m2atD = false;                                   /* the deriver has catalog 2 */
byte lm = 0, lt = 0, lcrl = 0, li = 0, lv = 0; bool ls = false, lx = false;  /* the client's last head; ls: there is one, lx: by the stolen key */

/* finc, fver, fcat, fat, flist: what the head names; stolen: it is by the certificate that list 1 lists; own: an honest deriver signed it. */
inline accept(finc, fver, fcat, fat, flist, stolen, own) {
  ok = fat <= now;
#ifdef CRLX
  ok = ok && (flist == 1 || tr == 255 || now <= tr + C);
  ok = ok && !(stolen && flist == 1);
  ok = ok && !(CL == 0 && flist < lcrl);
#endif
#ifndef INCFREE
  ok = ok && finc <= inc;                               /* there is no trust document with a higher one */
#endif
#ifdef MINCRL
  ok = ok && !(finc == 1 && flist == 0);
#endif
  if :: CL == 0 && ls -> ok = ok && (finc > li || (finc == li && (fver > lv || (fver == lv && own && !lx)))) :: else fi;
#ifdef MONO
  ok = ok && !(CL == 0 && fcat < lm);
#endif
  if :: ok ->
#ifdef P_BACK
        assert(fcat >= lm);
#endif
#ifdef P_THIEF
        assert(!(stolen && tr != 255 && now > tr + C));
#endif
        ls = true; li = finc; lv = fver; lm = fcat; lt = fat; lx = stolen; lcrl = flist
     :: else ->
#ifdef P_RECOVER
        assert(!(own && !stolen && tr != 255 && fat == now && k + 1 == nh && (t2 == 255 || fcat == 2)));
#endif
        skip
  fi;
  ok = false
}
inline use() {
  ok = ls && now <= lt + D;
#ifdef CATX
  ok = ok && !(lm == 1 && t2 != 255 && now > t2 + MX);                /* the last copy of 1 was signed at t2 at the latest */
#endif
#ifdef P_MAN
  assert(!(ok && lm == 1 && t2 != 255 && now > t2 + BOUND));
#endif
#ifdef P_USE
  assert(!(ok && lx && tr != 255 && now > tr + BOUND));
#endif
  ok = false
}
active proctype Deriver() {
  do
  :: atomic { nh < NH && now < T -> hver++; hi[nh] = inc; hv[nh] = hver; hm[nh] = (m2atD -> 2 : 1); ht[nh] = now;
       hn[nh] = (tr != 255); nh++ }
  :: now >= T -> break
  od
}
active proctype Authority() {
  do
  :: atomic { t2 == 255 && now > 0 && now < T -> t2 = now;
#ifndef VIARELAY
       m2atD = true
#endif
     }
#ifdef VIARELAY
  :: atomic { t2 != 255 && !m2atD && now < T -> m2atD = true }      /* the relay may let it through, or never */
#endif
#ifdef THIEF
  :: atomic { tr == 255 && now > 0 && now < T -> tr = now;
#if defined(INCTD) || defined(INCFREE)
       inc++
#endif
     }
#endif
  :: now >= T -> break
  od
}
active proctype Clock() { do :: atomic { now < T -> now++ } :: now >= T -> break od }
active proctype Relay() {
  byte k, xi, xv, xm; bool ok;
  do
  :: atomic { nh > 0 && now <= T -> k = 0; do :: k + 1 < nh -> k++ :: break od;
       accept(hi[k], hv[k], hm[k], ht[k], (hn[k] -> 1 : 0), (tr != 255 && !hn[k]), true); k = 0 }
#ifdef THIEF
  :: atomic { now <= T -> if :: xi = 0 :: xi = 1 :: xi = 3 fi; if :: xv = 1 :: xv = 9 fi; xm = 1; if :: skip :: t2 != 255 -> xm = 2 fi;
       accept(xi, xv, xm, now, 0, true, false); xi = 0; xv = 0; xm = 0 }
#endif
#if defined(P_MAN) || defined(P_USE)
  :: atomic { now <= T -> use() }
#endif
  :: now >= T -> break
  od
}
