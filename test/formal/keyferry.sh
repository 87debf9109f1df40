#!/usr/bin/env bash
# Runs keyferry.pv and rekey.pv and compares the answers, query by query, with keyferry.txt: a few seconds.
# Exit status: 0 the same, 1 different, 3 proverif is not installed.
set -u
cd "$(dirname "$0")" || exit 1
command -v proverif >/dev/null || { echo 'keyferry: not run: proverif is not installed (opam install proverif, version 2.05)' >&2; exit 3; }
table=$(for file in keyferry.pv rekey.pv; do
  answers=$(proverif $file | sed -nE '/^RESULT \(/d; /^RESULT /s/.*(true|false|cannot be proved)\.$/\1/p' | sed 's/cannot be proved/unknown/')
  echo $file $answers
done)
echo "$table"
diff keyferry.txt <(echo "$table") >/dev/null && exit 0
echo 'keyferry: not what keyferry.txt records' >&2
exit 1
