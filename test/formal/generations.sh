#!/usr/bin/env bash
# Runs every row of the generations table: about a quarter of a minute.
. "$(dirname "$0")/spin.sh"
optimise=-O0 # small searches: compiling is what takes time
as_built="-DINC -DSALTK -DSALTV -DRAISE"
row "removal without a new generation" -DNOBUMP
row "removal without a new version" -DNOVER
row "labels of numbers alone" -DS=6
row "labels of numbers alone, versions bundled ahead" -DPRE
row "labels of numbers alone, versions bundled ahead, SKIP after a removal" -DPRE -DSKIP
row "restore, labels of numbers alone" -DRESTORE
row "restore, KEK salted only" -DRESTORE -DSALTK
row "restore, version nonce only" -DRESTORE -DSALTV
row "restore, KEK salt and version nonce" -DRESTORE -DSALTK -DSALTV
row "restore, incarnation in both labels" -DRESTORE -DINC
row "restore, incarnation in both labels and raised, versions ahead + SKIP" -DRESTORE -DINC -DRAISE -DPRE -DSKIP
row "restore as built" $as_built -DRESTORE
row "restore as built, versions ahead + SKIP" $as_built -DRESTORE -DPRE -DSKIP
row "restore as built, versions ahead without SKIP" $as_built -DRESTORE -DPRE
row "restore as built, first head without a fresh revocation list" $as_built -DRESTORE -DNOCRL
row "two derivers, own databases, labels of numbers alone" -DHA -DS=5
row "two derivers, own databases, KEK salted only" -DHA -DSALTK -DS=5
row "two derivers, own databases, version nonce only" -DHA -DSALTV -DS=5
row "two derivers, own databases, KEK salt and version nonce" -DHA -DSALTK -DSALTV -DS=4
row "two derivers, one store, labels of numbers alone" -DHA -DSTORE -DS=5
row "two derivers, one store, as built, restore, versions ahead + SKIP" $as_built -DHA -DSTORE -DRESTORE -DPRE -DSKIP -DS=5
finish
