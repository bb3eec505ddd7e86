#!/usr/bin/env bash
# Builds Dante with GSSAPI in .build/dante-gss, for tests/interop: Debian builds its
# packages without. Takes Debian's own source package, and needs the packages
# build-essential flex bison libtool-bin libpam0g-dev libwrap0-dev libkrb5-dev patch.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/.build/dante-gss
[[ -x $out/sbin/sockd && -e $out/lib/libdsocks.so ]] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/apt/{lists/partial,cache/archives/partial} "$work/dante"
sed 's/^Types: .*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$work/apt/debian.sources"
# Lists and sources of its own: the system's configuration stays as it is.
apt=(
  apt-get -qq
  -o "Dir::Etc::sourcelist=$work/apt/debian.sources" -o Dir::Etc::sourceparts=-
  -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache"
  -o APT::Sandbox::User=root
)
"${apt[@]}" update
cd "$work"
"${apt[@]}" source --download-only dante
cd dante
tar --extract --strip-components=1 --file "$(echo ../dante_*.orig.tar.*)"
tar --extract --file "$(echo ../dante_*.debian.tar.*)"
while read -r name; do
  [[ -z $name || $name == \#* ]] || patch --silent --strip=1 <"debian/patches/$name"
done <debian/patches/series
# The generated files of the package are older than their patched sources.
keep=(ACLOCAL=true AUTOCONF=true AUTOMAKE=true AUTOHEADER=true)
{
  ./configure --prefix="$out" --with-sockd-conf="$out/sockd.conf" \
    --with-socks-conf="$out/socks.conf" --with-pidfile="$out/pid"
  make --jobs=2 "${keep[@]}"
  make install "${keep[@]}"
} >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; exit 1; }
