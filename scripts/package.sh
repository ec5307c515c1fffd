# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Debian packages that the tests need and that are not installed, for then their daemons would be enabled and
# started on this host, but unpacked to $KAIDO_CACHE (/var/cache/kaido unless set). Sourced after lib.sh.

PACKAGE_CACHE=${KAIDO_CACHE:-/var/cache/kaido}

# A machine whose package lists are missing or older than the archive gets them first.
package_download()
{
	local folder=$1 package=$2 try

	for try in 1 2 3; do
		(cd "$folder" && apt-get -q -o APT::Sandbox::User=root download "$package") && return 0
		notice "$package is not to be had (try $try of 3)"
		apt-get -q -o DPkg::Lock::Timeout=300 update || true
	done
	return 1
}

# package_unpacked FOLDER PACKAGE VERSION: to FOLDER/VERSION of the cache. Once it is there, nothing is asked of
# the network. Not in a subshell, which would not tidy up.
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
			package_download "$work" "$package=$version" >&2 ||
				die "$package $version could not be downloaded; check the network and /etc/apt/sources.list"
			dpkg-deb -x "$work/$package"_*.deb "$work/package"
			mv "$work/package" "$parent/$version"
		fi
		exec {lock}>&-
	fi
}
