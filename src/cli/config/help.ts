/**
 * What `--help` prints.
 *
 * @module
 */

/** At most 80 columns; a test holds flags and defaults against those that there are. */
export const HELP = `\
socks5-server: a proxy for SOCKS4, SOCKS4a and SOCKS5

Usage: socks5-server [FLAGS]
       socks5-server hash-password [--user NAME]

Without flags it serves this machine only, without a login, on port 1080.

Where to listen:
  --hostname ADDRESS             IP address; 0.0.0.0 or :: for every interface
                                 (default 127.0.0.1)
  --port PORT                    0 for any free one (default 1080)
  --workers N|auto               Processes (on Deno threads) that share the port
                                 and the limits; auto: one for each core. One
                                 that fails is started again. For several, Deno
                                 needs its flags --unstable-net and --allow-read
                                 (default 1)

Who may use it:
  --users-file FILE              Logins, each line NAME:HASH as hash-password
                                 prints it; may be repeated. With any login,
                                 clients without one (SOCKS4 too) are refused.
  SOCKS5_USERS                   Logins as an environment variable: one
                                 NAME:PASSWORD per line
  --user NAME:PASSWORD           A login; may be repeated. Everyone on this
                                 machine can read flags in the process list:
                                 better use the other two.
  --failed-logins N              Failed logins in a row that lock a client's
                                 address out; 0 for never (default 10)
  --lockout DURATION             For how long (default 5m)
  --socks4-user-id NAME          User id that SOCKS4 clients must have; may be
                                 repeated. It is only claimed, so that beyond
                                 this machine it needs --open-proxy.
  --socks4-ident                 Let the client's ident server confirm it, which
                                 is as little of a login
  --open-proxy                   Allow to listen beyond this machine without a
                                 login. Anyone who reaches the port can then
                                 reach the internet in your name, and whatever
                                 else the rules below open.

Who may do what (RULE: [COMMANDS] [from CLIENTS] [user USERS] [TARGETS]):
  --allow RULE                   May be repeated; the first rule that matches
  --deny RULE                    decides, in the order of the command line. With
                                 any --allow, what no rule matches is denied.
  --explain QUESTION             Say what the rules say, and do not serve:
                                 [COMMAND] [user USER] HOST:PORT [from ADDRESS]

Without rules clients may go anywhere, but if the server listens beyond this
machine not to its own and special-purpose addresses (private networks, ...);
those need a rule that names them: --allow 10.0.0.0/8. A rule may also say how:
via ADDRESS (of this machine), prefer ipv4|ipv6.

BIND and UDP ASSOCIATE:
  --advertise ADDRESS            IP address that clients are told to use, for a
                                 server behind NAT or in a container; twice for
                                 one of each IP version
  --relay-ports FIRST-LAST       Ports to listen on for them, such as those that
                                 a firewall lets in
  --drop-fragments               Drop UDP fragments, do not put them together

Timeouts (DURATION: 500ms, 10s, 5m, 1h, or 0 for never):
  --handshake-timeout DURATION   For a client to complete its request
                                 (default 10s)
  --connect-timeout DURATION     To reach a target (default 15s)
  --idle-timeout DURATION        Without an octet either way (default 5m)
  --half-closed-timeout DURATION The same, once one side has finished
                                 (default 1m)
  --bind-timeout DURATION        For the peer that a BIND waits for (default 1m)
  --association-timeout DURATION Without a datagram either way (default 2m)
  --grace DURATION               For sessions to end after a signal, 0 for none
                                 (default 10s)

Limits (0 for none; a client is an IPv4 address or an IPv6 /64):
  --max-sessions N               Clients at a time; more are turned away
                                 (default 10000, or fewer where the system
                                 allows fewer open files). The same as
                                 --max-connections.
  --max-sessions-per-client N    The same for each client (default 0)
  --max-sessions-per-user N      Sessions at a time of each user (default 0)
  --max-handshakes-per-client N  Connections of each client that have not
                                 completed their request (1000 by default, and
                                 0 for a server on loopback)
  --max-connections-per-second-per-client N
                                 New ones of each client; twice as many, at
                                 least 10, at once (default 0)
  --max-bytes-per-second-per-session RATE
                                 Of each session, both ways together: 500k, 1.5M
                                 (default 0)
  --max-bytes-per-second-per-user RATE
                                 The same of all sessions of a user (default 0)
  --max-associations-per-client N
                                 UDP associations at a time of each client
                                 (default 1000)
  --max-targets-per-association N
                                 Targets that each of them gets datagrams from
                                 (default 256)

Configuration:
  --config FILE                  JSON with comments, keys as --schema tells
                                 them. Flags win over it; logins and rules add
                                 up, rules of flags in front.
  --check                        Check flags and files, and do not serve
  --schema                       Print the JSON Schema of such a file

What is printed:
  --log auto|text|json|off       A line when a session ends or a client is
                                 turned away: text, or JSON where the standard
                                 output is no terminal; with "off" only where it
                                 listens and why it ends (default auto)
  --metrics [ADDRESS:]PORT       Answer GET /metrics (for Prometheus; no names,
                                 no addresses) and GET /health by HTTP, without
                                 an ADDRESS on 127.0.0.1
  -h, --help                     This text
  -V, --version                  The version

The log, from "socks5-server listens on ..." on, goes to the standard output;
why it could not start goes to the standard error. A line of text holds the
time, the client, the user (in parentheses: claimed only), the command, the
target, octets up (from the client) and down, the duration, and how it ended.

Signals: SIGINT and SIGTERM let no more clients in and leave the sessions the
grace time; a second signal ends the program at once. SIGHUP reads the files
again: what is asked for from then on is judged by them, and no session ends.
With anything wrong in them, all stays as it was.

Exit codes: 0 ended by a signal, after the sessions; 1 cannot listen; 2 wrong
flag, login or configuration; 3 the port is in use; 130, 143 ended by a second
signal. With --check 0 or 2; with --explain 0 allowed, 1 not allowed, 2 wrong.

Examples:
  socks5-server
  curl --proxy socks5h://127.0.0.1:1080 https://example.com

  socks5-server hash-password --user alice >> users.txt
  socks5-server --hostname 0.0.0.0 --users-file users.txt
  curl --proxy socks5h://alice:PASSWORD@SERVER:1080 https://example.com

  socks5-server --users-file users.txt --allow 'user alice *.example.com:443' \\
    --explain 'user alice www.example.com:443'

With Deno it needs --allow-net, --allow-read for files, --allow-env=SOCKS5_USERS
for the variable, and --allow-sys=networkInterfaces to know its own addresses.`;
