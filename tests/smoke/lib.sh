# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the smoke tests share: the world of scripts/world.sh, and cases in the form of tests/README.md.
# Sourced, never run.

source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../scripts/lib.sh"
source "$KAIDO_ROOT/scripts/world.sh"

TAP_CASES=0 TAP_FAILED=0

# check WHAT GOT WANTED
check()
{
	TAP_CASES=$((TAP_CASES + 1))
	if [[ $2 == "$3" ]]; then
		echo "ok $TAP_CASES - $1"
	else
		echo "not ok $TAP_CASES - $1: got '$2', expected '$3'"
		TAP_FAILED=1
	fi
}

# check_that WHAT COMMAND [ARG...]: it succeeds.
check_that()
{
	local what=$1 status=0

	shift
	"$@" || status=$?
	check "$what" "$status" 0
}

# tests_end: the plan, what the gateways logged if something failed, and the exit status.
tests_end()
{
	echo "1..$TAP_CASES"
	((TAP_FAILED == 0)) || gateway_logs
	exit "$TAP_FAILED"
}

# Called at the top of each script.
tests_begin()
{
	local program

	require_root
	for program in dataplane/kaido-dataplane control/kaidod control/kaidoctl; do
		[[ -x $WORLD_BUILD/$program ]] || die "$program is not built; run scripts/build"
	done
}
