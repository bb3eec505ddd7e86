/**
 * `--fail2ban`: a filter for fail2ban that finds failed logins in the log.
 *
 * @module
 */

/**
 * The filter. All expressions are anchored, and the client comes before everything that
 * a client can choose: neither a user name nor a target can look like another line. The
 * prefix that syslog or the journal puts before a line has neither quotes nor braces, so
 * that it cannot be a part of a JSON line.
 */
export const FAIL2BAN_FILTER = String.raw`
# Failed logins in the log of socks5, as text or as JSON lines, in a file
# or in the systemd journal. Save it as
#   /etc/fail2ban/filter.d/socks5.conf
# and add a jail, /etc/fail2ban/jail.d/socks5.conf:
#   [socks5]
#   enabled = true
#   filter = socks5
#   port = 1080
#   maxretry = 5
#   logpath = /var/log/socks5.log
# If a systemd unit named socks5 starts the server, write
#   backend = systemd
# in place of the line with logpath.

[Definition]

_source = (?:[\w.-]+ [\w./-]+(?:\[\d+\])?: )?
_text_time = (?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?
_json_time = (?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)?

failregex = ^\s*%(_source)s%(_text_time)s\s*login-failed \[?<ADDR>\]?:\d+\s
            ^\s*%(_source)s(?:\{"time":")?%(_json_time)s","type":"session-end","reason":"login-failed","client":\{"hostname":"<ADDR>","port":\d+\},

ignoreregex =

datepattern = ^(?:\{"time":")?%%Y-%%m-%%dT%%H:%%M:%%S(?:\.%%f)?%%z
              {^LN-BEG}%%b %%d %%H:%%M:%%S

journalmatch = _SYSTEMD_UNIT=socks5.service`.trimStart();
