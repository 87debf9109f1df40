#!/usr/bin/env bash
# Runs every row of the freshness table: a few minutes.
. "$(dirname "$0")/spin.sh"
# chk NAME DEFINE…: one row, every property of `properties`.
chk() {
  local line
  line=$(printf '%-58s' "$1")
  shift
  for property in ${properties:-ROLLBACK FREEZE FORK REVOKE}; do
    search "$@" "-DP_$property"
    line="$line $property=$verdict($states)"
  done
  say "$line"
}
chk "signature only"
chk "PERSIST" -DPERSIST
chk "EXPIRY" -DEXPIRY
chk "PERSIST + EXPIRY, as built" -DPERSIST -DEXPIRY
properties="FREEZE REVOKE"
chk "  clients 1 tick late, skew 1" -DPERSIST -DEXPIRY -DSK=1 -DLAG=1
chk "  the same, measured without the lateness" -DPERSIST -DEXPIRY -DSK=1 -DLAG=1 -DBOUND=2
properties=
chk "deriver restored from a backup" -DPERSIST -DEXPIRY -DRESTORE
chk "  + FENCE (asks the relay for its own newest head)" -DPERSIST -DEXPIRY -DRESTORE -DFENCE
chk "  + INCARN, as built" -DPERSIST -DEXPIRY -DRESTORE -DINCARN
chk "  + INCARN, but the revocation is lost by the restore" -DPERSIST -DEXPIRY -DRESTORE -DINCARN -DLOSEREV
chk "two derivers, own counters" -DPERSIST -DEXPIRY -DHA
chk "  + compare-and-set at a lying relay" -DPERSIST -DEXPIRY -DHA -DCAS
finish
