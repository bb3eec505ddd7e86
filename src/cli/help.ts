/**
 * What `--help` prints.
 *
 * @module
 */

/** At most 80 columns; a test holds the defaults against those of the server. */
export const HELP = `\
socks5-server: a proxy for SOCKS4, SOCKS4a and SOCKS5

Usage: socks5-server [FLAGS]

Without flags it serves this machine only, without a login, on port 1080.

Where to listen:
  --hostname ADDRESS             IP address; 0.0.0.0 or :: for every interface
                                 (default 127.0.0.1)
  --port PORT                    0 for any free one (default 1080)

Who may use it:
  --user NAME:PASSWORD           A login; may be repeated. With any login,
                                 clients without one (SOCKS4 too) are refused.
                                 Everyone on this machine can read flags in the
                                 process list: better use SOCKS5_USERS.
  SOCKS5_USERS                   The same as an environment variable: one
                                 NAME:PASSWORD per line
  --open-proxy                   Allow to listen beyond this machine without a
                                 login. Anyone who reaches the port can then
                                 reach whatever this machine reaches, in your
                                 name: the local network and this machine too.

BIND and UDP ASSOCIATE:
  --advertise ADDRESS            IP address that clients are told to use, for a
                                 server behind NAT or in a container; twice for
                                 one of each IP version
  --relay-ports FIRST-LAST       Ports to listen on for them, such as those that
                                 a firewall lets in
  --drop-fragments               Drop UDP fragments, do not put them together

Timeouts and limits (DURATION: 500ms, 10s, 5m, 1h, or 0 for never):
  --handshake-timeout DURATION   For a client to complete its request
                                 (default 10s)
  --connect-timeout DURATION     To reach a target (default 15s)
  --idle-timeout DURATION        Without an octet either way (default 5m)
  --half-closed-timeout DURATION The same, once one side has finished
                                 (default 1m)
  --bind-timeout DURATION        For the peer that a BIND waits for (default 1m)
  --association-timeout DURATION Without a datagram either way (default 2m)
  --max-connections N            Clients at a time; more are turned away. 0 for
                                 no limit (default 10000, or fewer where the
                                 system allows fewer open files)
  --max-associations N           UDP associations at a time for each client
                                 address; 0 for no limit (default 1000)
  --grace DURATION               For sessions to end after a signal, 0 for none
                                 (default 10s)

What is printed:
  --log text|json|off            A line when a session ends or a client is
                                 turned away; with "off" only where it listens
                                 and why it ends (default text)
  -h, --help                     This text
  -V, --version                  The version

The log, from "socks5-server listens on ..." on, goes to the standard output;
why it could not start goes to the standard error. A line of text holds the
time, the client, the user (in parentheses: claimed only), the command, the
target, octets up (from the client) and down, the duration, and how it ended.

Signals: SIGINT and SIGTERM let no more clients in and leave the sessions the
grace time; a second signal ends the program at once.

Exit codes: 0 ended by a signal, after the sessions; 1 cannot listen; 2 wrong
flag or login; 3 the port is in use; 130, 143 ended by a second signal.

Examples:
  socks5-server
  curl --proxy socks5h://127.0.0.1:1080 https://example.com

  SOCKS5_USERS=alice:secret socks5-server --hostname 0.0.0.0
  curl --proxy socks5h://alice:secret@SERVER:1080 https://example.com

  SOCKS5_USERS="$(cat users.txt)" socks5-server --port 0 --log json

With Deno it needs --allow-net, and --allow-env=SOCKS5_USERS for the variable.`;
