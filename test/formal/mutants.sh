#!/usr/bin/env bash
# Runs mutants.py and compares its table with mutants.txt: about three minutes.
# Exit status: 0 the same, 1 different, 3 proverif or python3 is not installed.
set -u
cd "$(dirname "$0")" || exit 1
command -v proverif >/dev/null || { echo 'mutants: not run: proverif is not installed (opam install proverif, version 2.05)' >&2; exit 3; }
command -v python3 >/dev/null || { echo 'mutants: not run: python3 is not installed (apt-get install python3)' >&2; exit 3; }
table=$(python3 mutants.py)
echo "$table"
diff mutants.txt <(echo "$table") >/dev/null && exit 0
echo 'mutants: not what mutants.txt records' >&2
exit 1
