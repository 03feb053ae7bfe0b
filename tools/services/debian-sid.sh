#!/bin/sh
# Unpacks packages of Debian's newest distribution into a folder, without installing them: `debian-sid.sh FOLDER PACKAGE…`.
# They are run there by their own loader and libraries. Nothing outside of the folder is changed; root is not needed.
set -eu
folder=$1
shift
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
[ -n "$mirror" ] || { echo 'apt-get knows no mirror; add one to its sources' >&2; exit 1; }
mkdir -p "$folder/lists/partial" "$folder/archives/partial" "$folder/root"
: >"$folder/status"
echo "deb $mirror sid main" >"$folder/sid.list"
apt() {
  apt-get -o Dir::Etc::sourcelist="$folder/sid.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$folder/lists" \
    -o Dir::Cache="$folder" -o Dir::State::status="$folder/status" -o Debug::NoLocking=1 \
    -o APT::Install-Recommends=0 -o APT::Sandbox::User=root -qq -y "$@"
}
apt update
apt install --download-only "$@" >&2
for package in "$folder"/archives/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
for link in bin sbin lib lib64; do [ -e "$folder/root/$link" ] || ln -s "usr/$link" "$folder/root/$link"; done
rm -rf "$folder/lists" "$folder/archives" "$folder"/*.bin "$folder/status" "$folder/sid.list"
