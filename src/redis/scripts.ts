/**
 * The scripts that Redis executes, each as one transaction. All times are those of Redis,
 * so that the clocks of the nodes do not matter.
 *
 * The keys of a store, after its prefix:
 *
 * ```text
 * totals         hash        LIMIT|KEY -> slots held on all nodes; "@" -> 1, which is missing
 *                            if somebody has deleted the key
 * nodes          sorted set  node -> end of its lease
 * held:NODE      hash        LIMIT|KEY -> slots held on the node; "@" -> the token of its
 *                            last declaration, "#" -> its calls since then
 * rate:…, pass:… string      when all that has passed is paid for
 * failing        sorted set  client -> when its failures are forgotten
 * failures       hash        client -> count
 * locked         sorted set  client -> end of the lockout
 * trusted:CLIENT string      until when a node accepts its correct logins without asking
 * unlocks        string      how often lockouts were ended early
 * usage:USER     hash        totals of a user
 * reported:NODE  string      the number of the node's last report, of usage or failed logins
 * ```
 *
 * @module
 */

import { Script } from "./script.ts";

/**
 * If something is paid for this many milliseconds later than it can be, the clock of Redis
 * was set back, or another server with another clock has taken over.
 */
const CLOCK_CHANGE = 10_000;

/** For how many milliseconds the number of the last report of a node is kept. */
const REMEMBERED = 2_592_000_000;

/** The time in milliseconds. */
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * Counts slots. Fields with a count of 0 are removed. Amounts are passed on as texts:
 * Lua would write 0 - 0 as "-0", which Redis does not accept.
 */
const COUNT = `
local function count(key, field, amount)
  if redis.call('HINCRBY', key, field, amount) == 0 then
    redis.call('HDEL', key, field)
  end
end
local function forget(totals, held)
  local fields = redis.call('HGETALL', held)
  for i = 1, #fields, 2 do
    if fields[i] ~= '@' and fields[i] ~= '#' then
      local opposite = ('-' .. fields[i + 1]):gsub('^%-%-', '')
      count(totals, fields[i], opposite)
    end
  end
  redis.call('DEL', held)
end
-- Whether the lease of a node has ended: it was suspended, or the clock was set forward.
local function isLate(nodes, node)
  local till = redis.call('ZSCORE', nodes, node)
  return not till or tonumber(till) <= now
end
-- Tokens begin with the lease of their node.
local function leaseOf(prefix, node, standard)
  local token = redis.call('HGET', prefix .. node, '@') or ''
  return tonumber(token:match('^(%d+) ') or standard)
end
local function reap(totals, nodes, prefix, self)
  local dead = redis.call('ZRANGEBYSCORE', nodes, '-inf', now, 'LIMIT', 0, 16)
  local found = false
  for _, node in ipairs(dead) do
    if node ~= self then
      forget(totals, prefix .. node)
      redis.call('ZREM', nodes, node)
      found = true
    end
  end
  return found
end
`;

/**
 * Counts changes of slots, checks logins, then takes requests in turn: of each, all slots and
 * rates are granted, or none. Nodes whose lease has ended are forgotten when a limit is reached.
 *
 * A correct login forgets the failures of its client, and the node may accept others of it for
 * some milliseconds without asking.
 *
 * KEYS: totals, nodes, held, failing, failures, locked, trusted clients of all logins…, rates of
 * all requests…
 * ARGV: prefix, node, token, changes n, (field, amount)·n, logins n, (client, milliseconds of
 * trust, or "" for one that is not verified yet)·n, requests, and for each request: slots m,
 * (field, max)·m, rates r, (milliseconds each, milliseconds all)·r.
 * Returns nothing if the node has to declare what it holds. Else it returns for each login for
 * how many milliseconds its client is locked out, then for each request 0 if everything is
 * granted, or the number of the slot or rate that is not.
 */
export const MOVE: Script = new Script(`
if redis.call('HGET', KEYS[3], '@') ~= ARGV[3]
  or redis.call('HEXISTS', KEYS[1], '@') == 0 then return false end
${NOW}${COUNT}
redis.call('HINCRBY', KEYS[3], '#', 1)
local at = 4
for _ = 1, tonumber(ARGV[at]) do
  count(KEYS[3], ARGV[at + 1], ARGV[at + 2])
  count(KEYS[1], ARGV[at + 1], ARGV[at + 2])
  at = at + 2
end
at = at + 1
local answers = {}
local key = 7
local function check(client, trust)
  local locked = tonumber(redis.call('ZSCORE', KEYS[6], client) or '0')
  if locked > now then return locked - now end
  if trust == '' then return 0 end
  if redis.call('ZREM', KEYS[4], client) == 1 then
    redis.call('HDEL', KEYS[5], client)
  end
  redis.call('SET', KEYS[key], '', 'PX', trust)
  return 0
end
for i = 1, tonumber(ARGV[at]) do
  answers[i] = check(ARGV[at + 1], ARGV[at + 2])
  at = at + 2
  key = key + 1
end
at = at + 1
local function take()
  local first, slots = at, tonumber(ARGV[at])
  local second = first + 2 * slots + 1
  local rates = tonumber(ARGV[second])
  local keys = key
  at = second + 2 * rates + 1
  key = keys + rates
  local function reached()
    for i = 1, slots do
      local held = redis.call('HGET', KEYS[1], ARGV[first + 2 * i - 1]) or '0'
      if tonumber(held) >= tonumber(ARGV[first + 2 * i]) then return i end
    end
  end
  local full = reached()
  while full and not isLate(KEYS[2], ARGV[2])
    and reap(KEYS[1], KEYS[2], ARGV[1], ARGV[2]) do full = reached() end
  if full then return full end
  local paid = {}
  for i = 1, rates do
    local each = tonumber(ARGV[second + 2 * i - 1])
    local all = tonumber(ARGV[second + 2 * i])
    local known = tonumber(redis.call('GET', KEYS[keys + i - 1]) or '0')
    -- Not possible, unless the clock of Redis was set back.
    if known - now > all + ${CLOCK_CHANGE} then known = now end
    paid[i] = math.max(known, now) + each
    if paid[i] - now > all + each / 1000 then return slots + i end
  end
  for i = 1, rates do
    local text = string.format('%.3f', paid[i])
    redis.call('SET', KEYS[keys + i - 1], text, 'PX', math.ceil(paid[i] - now) + 1)
  end
  for i = 1, slots do
    redis.call('HINCRBY', KEYS[3], ARGV[first + 2 * i - 1], 1)
    redis.call('HINCRBY', KEYS[1], ARGV[first + 2 * i - 1], 1)
  end
  return 0
end
local requests = tonumber(ARGV[at])
at = at + 1
for _ = 1, requests do answers[#answers + 1] = take() end
return answers
`);

/**
 * Declares everything that a node holds, in place of what was counted for it before. If keys
 * are missing, which somebody has deleted, what other nodes hold is counted again, too. If the
 * lease of the node has ended, those of others get one more: the clock may have been set forward.
 * The token begins with the lease and a space.
 *
 * KEYS: totals, nodes, held. ARGV: prefix, node, token, lease, (field, count)…
 */
export const DECLARE: Script = new Script(`
${NOW}${COUNT}
local isMissing = redis.call('HEXISTS', KEYS[1], '@') == 0
  or redis.call('EXISTS', KEYS[3]) == 0 and redis.call('ZSCORE', KEYS[2], ARGV[2])
-- Fails if Redis has no memory left, unlike a script that deletes something first.
redis.call('HINCRBY', KEYS[3], '#', 0)
if isMissing then
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('HSET', KEYS[1], '@', 1)
  for _, node in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local fields = redis.call('HGETALL', ARGV[1] .. node)
    for i = 1, #fields, 2 do
      if fields[i] ~= '@' and fields[i] ~= '#' then
        count(KEYS[1], fields[i], fields[i + 1])
      end
    end
  end
end
local till = now + tonumber(ARGV[4])
if redis.call('ZSCORE', KEYS[2], ARGV[2]) and isLate(KEYS[2], ARGV[2]) then
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
    redis.call('ZADD', KEYS[2], now + leaseOf(ARGV[1], node, ARGV[4]), node)
  end
end
forget(KEYS[1], KEYS[3])
redis.call('HSET', KEYS[3], '@', ARGV[3], '#', 0)
redis.call('ZADD', KEYS[2], till, ARGV[2])
for i = 5, #ARGV, 2 do
  count(KEYS[3], ARGV[i], ARGV[i + 1])
  count(KEYS[1], ARGV[i], ARGV[i + 1])
end
reap(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
return 0
`);

/** Releases everything that a node holds. KEYS: totals, nodes, held. ARGV: node, token. */
export const LEAVE: Script = new Script(`
if redis.call('HGET', KEYS[3], '@') ~= ARGV[2] then return 0 end
${NOW}${COUNT}
forget(KEYS[1], KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[1])
return 0
`);

/**
 * Extends the lease of a node, and lists the clients that were locked out.
 *
 * KEYS: totals, nodes, held, locked, unlocks.
 * ARGV: prefix, node, token, calls, lease, since.
 * Returns nothing but 0 if the node has to declare what it holds, or else 1, the time,
 * each client with the end of its lockout, and how often lockouts were ended early.
 */
export const BEAT: Script = new Script(`
local known = redis.call('HMGET', KEYS[3], '@', '#')
if known[1] ~= ARGV[3] or known[2] ~= ARGV[4] then return {0} end
if redis.call('HEXISTS', KEYS[1], '@') == 0 then return {0} end
${NOW}${COUNT}
if isLate(KEYS[2], ARGV[2]) then return {0} end
local till = now + tonumber(ARGV[5])
redis.call('ZADD', KEYS[2], till, ARGV[2])
-- Only of nodes with a longer lease, unless the clock was set back.
local ahead = '(' .. (till + ${CLOCK_CHANGE})
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], ahead, '+inf')) do
  local most = now + leaseOf(ARGV[1], node, ARGV[5])
  if tonumber(redis.call('ZSCORE', KEYS[2], node)) > most + ${CLOCK_CHANGE} then
    redis.call('ZADD', KEYS[2], most, node)
  end
end
reap(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
local since = '(' .. (ARGV[6] == '' and now or ARGV[6])
return {1, now, redis.call(
  'ZRANGEBYSCORE', KEYS[4], since, '+inf', 'WITHSCORES', 'LIMIT', 0, 1000
), redis.call('GET', KEYS[5]) or '0'}
`);

/**
 * Counts a failed login. KEYS: failing, failures, locked, trusted client, reported.
 * ARGV: client, failed logins, lockout, the greatest number of clients, how many milliseconds
 * ago it has failed, and the number of the call, which counts nothing after a later one.
 * Returns the number of failures, 0 for a client that is locked out; for how long it is; and for
 * how long a node may still accept its correct logins.
 */
export const FAILED: Script = new Script(`
${NOW}
local client, lockout, most = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local last = tonumber(redis.call('GET', KEYS[5]) or '0')
if last >= tonumber(ARGV[6]) then return {0, 0, 0} end
redis.call('SET', KEYS[5], ARGV[6], 'PX', ${REMEMBERED})
local function trim(zset, hash)
  local gone = redis.call('ZCOUNT', zset, '-inf', now)
  local extra = math.min(
    math.max(gone, redis.call('ZCARD', zset) - most), 100
  )
  if extra == 0 then return end
  local names = redis.call('ZRANGE', zset, 0, extra - 1)
  for _, name in ipairs(names) do
    redis.call('ZREM', zset, name)
    if hash then redis.call('HDEL', hash, name) end
  end
end
local function trust()
  return math.max(redis.call('PTTL', KEYS[4]), 0)
end
local locked = tonumber(redis.call('ZSCORE', KEYS[3], client) or '0')
if locked > now then return {0, locked - now, trust()} end
trim(KEYS[1], KEYS[2])
trim(KEYS[3])
local known = tonumber(redis.call('ZSCORE', KEYS[1], client) or '0')
if known <= now then redis.call('HDEL', KEYS[2], client) end
local left = lockout - tonumber(ARGV[5])
if left <= 0 then return {0, 0, 0} end
local count = redis.call('HINCRBY', KEYS[2], client, 1)
local limit = tonumber(ARGV[2])
-- More if the limit was lowered, or is a higher one on other nodes.
if limit > 0 and count >= limit then
  redis.call('ZREM', KEYS[1], client)
  redis.call('HDEL', KEYS[2], client)
  redis.call('ZADD', KEYS[3], now + left, client)
  return {0, left, trust()}
end
redis.call('ZADD', KEYS[1], math.max(known, now + left), client)
return {count, 0, 0}
`);

/**
 * Lists the clients that are locked out, the one whose lockout ends last first.
 * KEYS: locked. Returns the time, and each client with the end of its lockout.
 */
export const LOCKED: Script = new Script(`
${NOW}
return {now, redis.call(
  'ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. now, 'WITHSCORES', 'LIMIT', 0, 10000
)}
`);

/**
 * Forgets the failures of a client, or without one those of all.
 * KEYS: failing, failures, locked, unlocks. ARGV: client, if it is one.
 * Returns how many clients were locked out.
 */
export const UNLOCK: Script = new Script(`
${NOW}
redis.call('INCR', KEYS[4])
local client = ARGV[1]
if not client then
  local count = redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf')
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  return count
end
local locked = tonumber(redis.call('ZSCORE', KEYS[3], client) or '0')
redis.call('ZREM', KEYS[1], client)
redis.call('HDEL', KEYS[2], client)
redis.call('ZREM', KEYS[3], client)
return locked > now and 1 or 0
`);

/**
 * Lends a node bytes of a user. KEYS: pass. ARGV: bytes, bytes per second, and how many
 * milliseconds of idle time a burst may make up for. Returns after how many milliseconds
 * the bytes may pass.
 */
export const BORROW: Script = new Script(`
${NOW}
local paid = tonumber(redis.call('GET', KEYS[1]) or '0')
local loan = tonumber(ARGV[1]) * 1000 / tonumber(ARGV[2])
-- As above. Other nodes may have borrowed, but not that many.
if paid - now > 100 * loan + ${CLOCK_CHANGE} then paid = now end
local from = math.max(paid, now - tonumber(ARGV[3]))
local till = from + loan
local keep = math.ceil(math.max(till - now, 0) + tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[1], string.format('%.3f', till), 'PX', keep)
return math.ceil(math.max(paid - now, 0))
`);

/**
 * Adds usage. Days and months are those of UTC, computed as Howard Hinnant's
 * \`civil_from_days\` does.
 *
 * KEYS: reported, usage of each user. ARGV: the number of the report, then for each user
 * bytes sent, bytes received and sessions.
 * Returns the totals of each user: 9 numbers, as texts. Returns nothing, and adds nothing,
 * if a later report was made.
 */
export const REPORT: Script = new Script(`
${NOW}
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then
  return false
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ${REMEMBERED})
local day = math.floor(now / 86400000)
local z = day + 719468
local era = math.floor(z / 146097)
local doe = z - era * 146097
local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524)
  - math.floor(doe / 146096)) / 365)
local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
local mp = math.floor((5 * doy + 2) / 153)
local month = (yoe + era * 400) * 12 + mp
local names = {'sent', 'received', 'sessions'}
local totals = {}
for i = 2, #KEYS do
  local key = KEYS[i]
  local periods = redis.call('HMGET', key, 'day', 'month')
  local isNewDay = tonumber(periods[1] or '-1') ~= day
  local isNewMonth = tonumber(periods[2] or '-1') ~= month
  local any = false
  for j = 1, 3 do any = any or ARGV[3 * i - 5 + j] ~= '0' end
  if any then
    if isNewDay then
      redis.call('HSET', key, 'day', day,
        'day:sent', 0, 'day:received', 0, 'day:sessions', 0)
      isNewDay = false
    end
    if isNewMonth then
      redis.call('HSET', key, 'month', month,
        'month:sent', 0, 'month:received', 0, 'month:sessions', 0)
      isNewMonth = false
    end
    for j = 1, 3 do
      local amount = ARGV[3 * i - 5 + j]
      redis.call('HINCRBY', key, 'total:' .. names[j], amount)
      redis.call('HINCRBY', key, 'day:' .. names[j], amount)
      redis.call('HINCRBY', key, 'month:' .. names[j], amount)
    end
  end
  local function read(period, isNew)
    for j = 1, 3 do
      local value = redis.call('HGET', key, period .. ':' .. names[j])
      totals[#totals + 1] = not isNew and value or '0'
    end
  end
  read('total', false)
  read('day', isNewDay)
  read('month', isNewMonth)
end
return totals
`);

/**
 * Makes all earlier reports of a node invalid that have not arrived. KEYS: reported.
 * ARGV: the number of this one. Returns the number of the last report that has arrived.
 */
export const FENCE: Script = new Script(`
local last = redis.call('GET', KEYS[1]) or '0'
redis.call('SET', KEYS[1], ARGV[1], 'PX', ${REMEMBERED})
return last
`);

/** All scripts. */
export const SCRIPTS: readonly Script[] = [
  MOVE,
  DECLARE,
  LEAVE,
  BEAT,
  FAILED,
  LOCKED,
  UNLOCK,
  BORROW,
  REPORT,
  FENCE,
];
