#!/usr/bin/env bash
# Runs every row of the authority table: about a quarter of a minute.
# Keys: 1 is stolen or leaves, 2 stays, 4 and 8 come later.
. "$(dirname "$0")/spin.sh"
optimise=-O0 # small searches: compiling is what takes time
say "client goes back to an older catalog?"
row "numbers kept for ever" -DP_BACK -DFORGET=0 -DK0=3 -DK1=6
row "forgotten with every new trust document" -DP_BACK -DFORGET=1 -DK0=1
row "forgotten with every other set of keys" -DP_BACK -DFORGET=2 -DK0=3 -DK1=6
row "forgotten where fewer keys are kept than the threshold, as built" -DP_BACK -DK0=3 -DK1=6
row "the same, 2 of 3 replaced, threshold 2" -DP_BACK -DK0=7 -DK1=9 -DH0=2
row "the same, threshold raised" -DP_BACK -DK0=1 -DK1=3 -DH1=2
row "the same, new key added first and the old one removed later" -DP_BACK -DK0=1 -DK1=3 -DK2=2
row "the same, and a catalog shown under an earlier document than its own counts" -DP_BACK -DEARLY -DK0=1 -DK1=3 -DK2=2
row "as built, but a removed key is listed again" -DP_BACK -DK0=1 -DK1=2 -DK2=1
say "client locked out after stolen keys, with which the highest number was signed, were replaced?"
row "numbers kept for ever" -DP_LOCK -DFORGET=0 -DSTOLEN=1 -DK0=1 -DK1=2
row "forgotten where fewer keys are kept than the threshold, as built" -DP_LOCK -DSTOLEN=1 -DK0=1 -DK1=2
row "the same, 2 of 3 stolen and replaced, threshold 2" -DP_LOCK -DSTOLEN=3 -DK0=7 -DK1=12 -DH0=2
row "the same, new key added first and the stolen one removed later" -DP_LOCK -DSTOLEN=1 -DK0=1 -DK1=3 -DK2=2
row "the same, and then every key listed by then is replaced in one document" -DP_LOCK -DSTOLEN=1 -DK0=1 -DK1=3 -DK2=4
say "catalog of the thief used after the stolen keys were replaced?"
row "kept catalog counts under a new trust document" -DP_THIEF -DKEPT -DSTOLEN=1 -DK0=1 -DK1=2
row "kept catalog counts under its own trust document alone, as built" -DP_THIEF -DSTOLEN=1 -DK0=1 -DK1=2
row "a weak key is listed" -DP_THIEF -DWEAK=2 -DK0=1 -DK1=3
row "a weak key is listed, and no such document followed, as built" -DP_THIEF -DWEAK=2 -DSTRONG -DK0=1 -DK1=3
say "another trust document followed than the published one?"
row "signed by its own threshold alone" -DP_FORK -DALONE -DK0=1 -DK1=2
row "signed by both thresholds, as built" -DP_FORK -DK0=1 -DK1=2
row "the same, earlier threshold stolen" -DP_FORK -DSTOLEN=1 -DK0=1 -DK1=2
row "the same, and the app pins a floor" -DP_FORK -DFLOOR -DSTOLEN=1 -DK0=1 -DK1=2
finish
