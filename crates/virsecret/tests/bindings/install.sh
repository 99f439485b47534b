#!/bin/sh
# Makes the folder that bindings and programs are tested with, unless it is there: a Python environment, and in it
# libvirt-python, Nova and Ansible with their versions, Ansible's collection for libvirt, and Debian's libvirt-dbus; and
# programs in Go and Java, built as they would be for libvirt, with Debian's headers, libraries and bindings.
#
# usage: install.sh FOLDER
#
# Takes two or three minutes, and root's rights only if packages of Debian's are missing. libvirt-dbus is unpacked and not
# installed, as it would bring libvirt's daemons and start them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
wanted=$(cat "$here/install.sh" "$here/requirements.txt" "$here/program_go.go" "$here/ProgramJava.java" | sha256sum)
[ "$(cat "$folder/installed" 2>/dev/null)" = "$wanted" ] && exit

# gcc, pkg-config and the headers are for libvirt-python, dbus is for libvirt-dbus, virsh (libvirt-clients) looks on.
packages="dbus gcc libc6-dev libvirt-clients libvirt-dev pkg-config python3-dev python3-libvirt python3-venv"
# Perl's and Ruby's bindings are used as they are.
packages="$packages default-jdk-headless golang-github-libvirt-libvirt-go-dev golang-go libjna-java libsys-virt-perl"
packages="$packages ruby-libvirt"
if ! dpkg -s $packages >/dev/null 2>&1; then
    apt-get update -q
    apt-get install -q -y --no-install-recommends $packages
fi

/usr/bin/python3 -m venv --clear "$folder"
python=$folder/bin/python
pip="$python -m pip --quiet --disable-pip-version-check"
$pip install setuptools==80.9.0 wheel==0.45.1
$pip install --no-build-isolation -r "$here/requirements.txt"

# The newest `ansible` wants a newer Python than Debian 12 has; its collection for libvirt does not.
mkdir "$folder/downloads" "$folder/collections" "$folder/libvirt-dbus"
$pip download --no-deps --ignore-requires-python --dest "$folder/downloads" ansible==14.5.0
$python - "$folder" <<END
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(*folder.glob("downloads/ansible-*.whl")) as wheel:
    names = [name for name in wheel.namelist() if name.startswith("ansible_collections/community/libvirt/")]
    wheel.extractall(folder / "collections", names)
END

GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$folder/downloads/go" \
    go build -o "$folder/program_go" "$here/program_go.go"
javac -cp /usr/share/java/jna.jar -d "$folder/java" "$here/ProgramJava.java"

chmod a+rwx "$folder/downloads" # apt fetches as a user of its own.
(cd "$folder/downloads" && apt-get download -q libvirt-dbus libvirt-glib-1.0-0)
for package in "$folder"/downloads/*.deb; do
    dpkg-deb --extract "$package" "$folder/libvirt-dbus"
done
rm -r "$folder/downloads"
echo "$wanted" >"$folder/installed"
