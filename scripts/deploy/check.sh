#!/usr/bin/env bash
# Checks the unit under a systemd of its own, and the files of the image without an engine:
# starts the server as they do, and a client of it. All of it runs in namespaces, on an
# overlay of this machine's files with a private /tmp, /run and network.
#
# Run `deno task build:binary` first, and this as root. Needs systemd, socat and curl.
set -euo pipefail
cd "$(dirname "$0")"

fail() {
  printf 'FAILED %s\n' "$*"
  exit 1
}

# Runs a command until it succeeds, for 20 s at most.
await() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    "$@" &>/source/output && return
    sleep 0.1
  done
  fail "not within 20 s: $*: $(</source/output)"
}

fetch() {
  curl -q -sS -m 10 --noproxy '' -x "socks5h://$1@127.0.0.1:1080" "http://$2:8000/"
}

metric() {
  curl -q -sS -m 10 --noproxy '*' http://127.0.0.1:9180/metrics | grep -qx "$1"
}

# 45.0.0.1 is the target that a rule names, 45.0.0.2 another address of this machine.
check_proxy() {
  await curl -q -sS --noproxy '*' http://127.0.0.1:9180/health
  [[ $(fetch alice:secret 45.0.0.1) == hello ]] || fail 'the target was not reached'
  fetch alice:wrong 45.0.0.1 &>/dev/null && fail 'a wrong login was accepted'
  fetch alice:secret 45.0.0.2 &>/dev/null && fail 'an own address was reached'
  await metric 'socks5_own_addresses_unknown 0'
  await metric 'socks5_replies_total{version="5",reply="2"} 1'
}

# In the namespaces of `enter`, with the overlay as the root.
inside() {
  printf 'HTTP/1.0 200 OK\r\n\r\nhello' >/source/response
  ip link set lo up
  ip addr add 45.0.0.1/32 dev lo
  ip addr add 45.0.0.2/32 dev lo
  socat TCP-LISTEN:8000,fork,reuseaddr SYSTEM:'cat /source/response' &
  "$1"
}

# systemctl among the processes of that systemd.
control() {
  nsenter --target "$systemd" --mount --pid --root systemctl "$@"
}

check_unit() {
  local pid systemd
  install -D /source/binary /usr/local/bin/socks5
  install -D -m 640 /source/socks5.jsonc /etc/socks5/socks5.jsonc
  install -D -m 640 /source/users.txt /etc/socks5/users.txt
  sed -i 's|"metrics".*|&, "accounting": "1m", "accountingFile": "/var/lib/socks5/usage.json",\n  "admin": "unix:/run/socks5/admin.sock"|' \
    /etc/socks5/socks5.jsonc
  install -D -m 644 /source/socks5.service /etc/systemd/system/socks5.service
  printf '[Unit]\nDescription=nothing\n' >/etc/systemd/system/nothing.target
  # As the comment of the unit says.
  groupadd --system socks5-config
  chgrp -R socks5-config /etc/socks5 && chmod -R u=rwX,g=rX,o= /etc/socks5
  systemd-analyze verify /etc/systemd/system/socks5.service
  env -i container=check PATH="$PATH" unshare --pid --fork --kill-child --mount-proc \
    /lib/systemd/systemd --system --unit=nothing.target --log-target=null &
  await pgrep -f '^/lib/systemd/systemd --system'
  systemd=$(pgrep -n -f '^/lib/systemd/systemd --system')
  await control start socks5
  control reload socks5 # before it listens
  check_proxy
  [[ $(ask_admin status) == *'"listening":"0.0.0.0:1080"'* ]] || fail 'the admin socket'
  pid=$(control show --property MainPID --value socks5)
  sed -i 's/45.0.0.1:8000/45.0.0.2:8000/' /etc/socks5/socks5.jsonc
  control reload socks5
  await fetch alice:secret 45.0.0.2
  fetch alice:secret 45.0.0.1 &>/dev/null && fail 'the reload did not close 45.0.0.1'
  [[ $(control show --property MainPID --value socks5) == "$pid" ]] || fail 'it restarted'
  control stop socks5
  [[ $(control show --property Result --value socks5) == success ]] || fail 'the stop failed'
  grep -q '"user":"alice"' /var/lib/socks5/usage.json || fail 'no accounting file'
}

ask_admin() {
  curl -q -sS -m 10 --unix-socket /run/socks5/admin.sock "http://localhost/$1"
}

# Copies what the Dockerfile copies, and starts its entry point read-only as its user, who has
# no capabilities.
check_image() {
  local from to pid
  mkdir /image
  mount -t tmpfs tmpfs /image
  while read -r from to; do
    install -D "$from" "/image$to"
  done < <(sed -n 's/^COPY --from=base //p' /source/Dockerfile)
  install /source/binary /image/socks5
  install -D -m 644 /source/socks5.jsonc /image/etc/socks5/socks5.jsonc
  install -D -m 644 /source/users.txt /image/etc/socks5/users.txt
  mkdir /image/proc /image/dev
  mount --rbind /proc /image/proc
  mount --rbind /dev /image/dev
  mount -o remount,ro /image
  grep -qx 'USER 65532:65532' /source/Dockerfile || fail 'USER'
  grep -qx 'ENTRYPOINT \["/socks5"\]' /source/Dockerfile || fail 'ENTRYPOINT'
  grep -qx 'CMD \["--config", "/etc/socks5/socks5.jsonc"\]' /source/Dockerfile || fail 'CMD'
  chroot --userspec 65532:65532 --groups '' \
    /image /socks5 --config /etc/socks5/socks5.jsonc --log off &
  pid=$!
  check_proxy
  kill "$pid"
  wait "$pid" || fail "it ended with $?"
}

# Makes the overlay and enters it. The namespaces end with everything that runs in them.
enter() {
  local folder=$1 check=$2
  mount --make-rprivate /
  mount -t tmpfs tmpfs "$folder"
  mkdir "$folder"/{upper,work,root}
  mount -t overlay overlay \
    -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
  cd "$folder/root"
  mkdir -p source
  local path
  for path in run tmp var/tmp source; do mount -t tmpfs tmpfs "$path"; done
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t cgroup2 none sys/fs/cgroup
  mount --rbind /dev dev
  cp "$OLDPWD"/{check.sh,socks5.service,Dockerfile} source/
  cp "$OLDPWD"/../../binaries/socks5-*-"$(target)" source/binary
  printf 'secret\nsecret\n' | source/binary hash-password --user alice >source/users.txt
  cat >source/socks5.jsonc <<'CONFIG'
{
  "hostname": "0.0.0.0",
  "usersFile": "users.txt",
  "rules": ["allow 45.0.0.1:8000", "allow *"],
  "metrics": "9180"
}
CONFIG
  exec chroot . bash /source/check.sh "inside:$check"
}

target() {
  [[ $(uname -m) == aarch64 ]] && echo linux-arm64 || echo linux-x64
}

case ${1-} in
  inside:*) inside "${1#inside:}" ;;
  enter:*) enter "$2" "${1#enter:}" ;;
  '')
    folder=$(mktemp -d)
    trap 'rmdir "$folder"' EXIT
    for check in check_unit check_image; do
      unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child \
        bash ./check.sh "enter:$check" "$folder" || fail "$check"
      printf 'ok     %s\n' "$check"
    done
    ;;
esac
