# Sourced by the scripts of the Spin models: rows of a table, then `finish`, which compares it with the recorded one.
# Exit status: 0 the same, 1 different, 2 wrong usage, 3 spin or gcc is not installed.
set -u
model=$(basename "$0" .sh)
formal=$(cd "$(dirname "$0")" && pwd)
case "${1-}" in
  '' | --record) ;;
  *) echo "usage: bash test/formal/$model.sh [--record]" >&2; exit 2 ;;
esac
for tool in spin gcc; do
  command -v $tool >/dev/null || { echo "$model: not run: $tool is not installed (apt-get install spin gcc libc6-dev)" >&2; exit 3; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# search DEFINE…: one run of the model; sets `verdict` and `states`.
search() {
  rm -f pan pan.c run.log; touch gen.log gcc.log run.log
  spin "$@" -a "$formal/$model.pml" >gen.log 2>&1 &&
    gcc "${optimise:--O1}" -w -DSAFETY -DCOLLAPSE -DMEMLIM=6000 -o pan pan.c 2>gcc.log && ./pan -E -m1000000 >run.log 2>&1
  errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' run.log)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' run.log)
  case "$errors" in
    0) verdict=holds; grep -qE 'not completed|max search depth' run.log && verdict=incomplete ;;
    '') verdict="?? $(head -2 gen.log gcc.log run.log)" ;;
    *) verdict=ATTACK ;;
  esac
}
say() { printf '%s\n' "$1" | tee -a table.txt; }
# row NAME DEFINE…
row() {
  local name=$1
  shift
  search "$@"
  say "$(printf '%-84s %s (%s)' "$name" "$verdict" "$states")"
}
finish() {
  grep -qE '\?\?|incomplete' table.txt && { echo "$model: a search did not end" >&2; exit 1; }
  if [ "${record-}" = --record ]; then cp table.txt "$formal/$model.txt"; exit 0; fi
  diff "$formal/$model.txt" table.txt >diff.txt && exit 0
  echo "$model: not what $model.txt records:" >&2
  cat diff.txt >&2
  exit 1
}
record=${1-}
