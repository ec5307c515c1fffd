# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Debian packages that the tests need and that are not installed, for then their daemons would be enabled and
# started on this host, but unpacked to $KAIDO_CACHE (/var/cache/kaido unless set). Sourced after lib.sh.

PACKAGE_CACHE=${KAIDO_CACHE:-/var/cache/kaido}

PACKAGE_TRIES=5 # mirrors stumble

# package_get FOLDER PACKAGE[=VERSION]: the file, to the folder.
package_get()
{
	(cd "$1" && apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$2")
}

# package_download COMMAND [ARG...]: runs it until it succeeds. A machine whose package lists are missing or older than
# the archive gets them first.
package_download()
{
	local try

	for ((try = 1; try <= PACKAGE_TRIES; try++)); do
		"$@" && return 0
		notice "a package is not to be had (try $try of $PACKAGE_TRIES)"
		sleep $(((try - 1) * 5))
		apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update || true
	done
	return 1
}

# package_unpacked FOLDER PACKAGE VERSION: to FOLDER/VERSION of the cache; VERSION may be "newest", which is the one that
# is served. Once it is there, nothing is asked of the network. Not in a subshell, which would not tidy up.
package_unpacked()
{
	local parent=$PACKAGE_CACHE/$1 package=$2 version=$3 lock work

	if ! [[ -d $parent/$version ]]; then
		require_root
		mkdir -p "$parent"
		exec {lock}>"$parent/lock"
		flock "$lock"
		if ! [[ -d $parent/$version ]]; then
			work=$(mktemp -d "$parent/new.XXXXXX")
			at_exit rm -rf "$work"
			notice "getting $package $version"
			[[ $version == newest ]] || package+="=$version"
			package_download package_get "$work" "$package" >&2 ||
				die "$package $version could not be downloaded; check the network and /etc/apt/sources.list"
			dpkg-deb -x "$work/${package%%=*}"_*.deb "$work/package"
			mv "$work/package" "$parent/$version"
		fi
		exec {lock}>&-
	fi
}
