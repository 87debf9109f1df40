/* Freshness, rollback and forks of the head.      bash test/formal/freshness.sh   runs every row (Spin 6.5).
 * The relay is the adversary: at any moment it serves any head ever signed to any client, or nothing.  A client accepts a head,
 * expired or not (it may still decrypt), and encrypts later under the last one it accepted, if [use-1] lets it.
 * Client 0 keeps its state; client 1 has none whenever a delivery comes (a browser whose storage was cleared).
 * Every signed head, a heartbeat too, has a new version number; heads are told apart by number (inc, ver) and bytes (id).
 * Times are ticks of the deriver's clock.  A client's clock is LAG ticks late; SK is `skew` of the trust document.
 * Switches: PERSIST   client 0 never goes below the last (inc, ver), nor beside it [open-8], stored before use [open-21]
 *           EXPIRY    no encryption later than D + SK ticks after issue: `expiresAt` [open-3] and `skew` [use-1]
 *           RESTORE   the deriver may be restored once from a backup taken after its first head
 *           INCARN    a restore raises the incarnation in the trust document, and with it in the heads [trust-4], [open-6]
 *           FENCE     a restored deriver takes the newest head from the relay as its own (what [deriver-2] forbids)
 *           LOSEREV   the backup predates the revocation and no fresh list brings it back (what [trust-4] and [open-7] forbid)
 *           HA        a second instance signs heads from its own copy of the counters (what [deriver-1] forbids)
 *           CAS       with HA: each instance first asks the relay for the newest head and builds on it (as if [relay-7] were a lock)
 * Properties: P_ROLLBACK  client 0 never accepts a head older than one it accepted
 *             P_FREEZE    nobody encrypts later than BOUND ticks after the issue of the head
 *             P_FORK      nobody accepts two heads of one number
 *             P_REVOKE    nobody encrypts later than BOUND ticks after a revocation under a head that does not know of it     */
#ifndef LAG
#define LAG 0
#endif
#ifndef SK
#define SK 0
#endif
#ifndef BOUND
#define BOUND (D + SK + LAG)
#endif
#define T 4
#define D 1
#define N 4
byte now = 0, nh = 0;                    /* the deriver's clock, heads signed so far */
byte h_inc[N], h_ver[N], h_iss[N]; bit h_rev[N];
byte inc = 0, ver = 0, ver2 = 0; bit rev = 0; bool restored = false;
byte revokedAt = 255;
byte l_inc[2], l_ver[2], l_iss[2], l_id[2]; bit l_rev[2];      /* the last head that a client accepted; l_id 0: none */
#ifdef P_FORK
byte acc[16];                            /* 8 * inc + ver: the head that somebody accepted */
#endif

inline sign(v) { h_inc[nh] = inc; h_ver[nh] = v; h_iss[nh] = now; h_rev[nh] = rev; nh++ }

active proctype Deriver() {
  byte j;
  do
  :: atomic { nh < N && now < T -> ver++; sign(ver) }
  :: atomic { nh < N && now < T && rev == 0 && ver > 0 -> rev = 1; revokedAt = now; ver++; sign(ver) }
#ifdef HA
  :: atomic { nh < N && now < T ->
#ifdef CAS
       select (j : 0 .. 3); if :: j < nh -> ver2 = h_ver[j] :: else fi; j = 0;
#endif
       ver2++; sign(ver2) }
#endif
#ifdef RESTORE
  :: atomic { !restored && ver > 1 && now < T -> restored = true; ver = 1;
#ifdef LOSEREV
       rev = 0;
#endif
#ifdef INCARN
       inc++;
#endif
#ifdef FENCE
       select (j : 0 .. 3); if :: j < nh -> ver = h_ver[j] :: else fi; j = 0;
#endif
     }
#endif
  :: now >= T -> break
  od
}
active proctype Clock() { do :: atomic { now < T -> now++ } :: now >= T -> break od }

inline accept(i) {
  k = 0; do :: k + 1 < nh -> k++ :: break od;
  ok = k < nh;
#ifdef PERSIST
  if :: ok && i == 0 && l_id[0] != 0 ->
        ok = h_inc[k] > l_inc[0] || (h_inc[k] == l_inc[0] && h_ver[k] > l_ver[0]) || k + 1 == l_id[0]
     :: else fi;
#endif
  if :: ok ->
#ifdef P_ROLLBACK
        assert(!(i == 0 && l_id[0] != 0 && (h_inc[k] < l_inc[0] || (h_inc[k] == l_inc[0] && h_ver[k] < l_ver[0]))));
#endif
#ifdef P_FORK
        assert(acc[8*h_inc[k] + h_ver[k]] == 0 || acc[8*h_inc[k] + h_ver[k]] == k + 1);
        acc[8*h_inc[k] + h_ver[k]] = k + 1;
#endif
        l_inc[i] = h_inc[k]; l_ver[i] = h_ver[k]; l_iss[i] = h_iss[k]; l_rev[i] = h_rev[k]; l_id[i] = k + 1
     :: else fi;
  k = 0; ok = false
}
/* A client that encrypts, with its own clock. */
inline use(i) {
  ok = l_id[i] != 0;
#ifdef EXPIRY
  ok = ok && (now < LAG || now - LAG <= l_iss[i] + D + SK);
#endif
  if :: ok ->
#ifdef P_FREEZE
        assert(now <= l_iss[i] + BOUND);
#endif
#ifdef P_REVOKE
        assert(!(l_rev[i] == 0 && revokedAt != 255 && now > revokedAt + BOUND));
#endif
        skip
     :: else fi;
  ok = false
}
active proctype World() {
  byte k; bool ok;
  do
  :: atomic { now <= T -> accept(0) }
  :: atomic { now <= T -> accept(1) }
#if defined(P_FREEZE) || defined(P_REVOKE)
  :: atomic { now <= T -> use(0) }
  :: atomic { now <= T -> use(1) }
#endif
  :: now >= T -> break
  od
}
