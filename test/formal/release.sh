#!/usr/bin/env bash
# Runs every row of the release table: a few minutes.
. "$(dirname "$0")/spin.sh"
thief="-DTHIEF -DCRLX -DINCTD -DMINCRL"
say "encrypted under a withdrawn catalog later than its bound?"
row "deriver gets catalogs directly, no thief: one head lifetime" -DP_MAN
row "deriver gets catalogs through the relay" -DP_MAN -DVIARELAY
row "deriver gets catalogs through the relay, catalogs expire" -DP_MAN -DVIARELAY -DCATX -DBOUND=MX
row "thief of the deriver key" -DP_MAN $thief -DBOUND=MX
row "thief of the deriver key, catalogs expire: one catalog lifetime" -DP_MAN $thief -DCATX -DBOUND=MX
say "catalog goes back on a client that keeps state?"
row "thief, head version kept only" -DP_BACK $thief
row "thief, highest catalog and manifest numbers kept too" -DP_BACK $thief -DMONO
say "head of the stolen key accepted after nextUpdate?"
row "no list asked for" -DP_THIEF -DTHIEF -DINCTD
row "list inside its nextUpdate" -DP_THIEF -DTHIEF -DINCTD -DCRLX
say "encrypted under it?"
row "list inside its nextUpdate: not later than nextUpdate" -DP_USE -DTHIEF -DINCTD -DCRLX -DBOUND=C
row "list inside its nextUpdate: not later than nextUpdate and one head lifetime" -DP_USE -DTHIEF -DINCTD -DCRLX -DBOUND=C+D
say "client locked out after recovery (fast-forward)?"
row "no new incarnation after a theft" -DP_RECOVER -DTHIEF -DCRLX
row "new incarnation, any incarnation in a head is believed" -DP_RECOVER -DTHIEF -DCRLX -DINCFREE
row "new incarnation, head must equal the trust document's" -DP_RECOVER -DTHIEF -DCRLX -DINCTD
row "the same, and that trust document names the lowest list" -DP_RECOVER $thief
row "the same, and highest catalog and manifest numbers kept, as built" -DP_RECOVER $thief -DMONO
finish
