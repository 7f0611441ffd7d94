-- wrk: POSTs clients or GETs paths, and tells as one line of JSON what came back, by status.
--   wrk … URL -- post RUN BEHAVIOUR [PREFER]   clients, each with an email that nobody has had
--   wrk … URL -- get FILE                      the paths of the file, one a line, in turn
-- With BENCH_TOKEN in the environment each POST bears it. RUN makes this run's emails different from every other's.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

local function posts(run, behaviour, prefer)
  local start = "{\"email\":\"" .. run .. "-" .. number .. "-"
  local ending = behaviour .. "@example.com\",\"name\":\"Ann\"}"
  local headers = { ["Content-Type"] = "application/json" }
  if prefer then headers["Prefer"] = prefer end
  local token = os.getenv("BENCH_TOKEN")
  if token then headers["Authorization"] = "Bearer " .. token end
  if wrk.path:find("headers$") then
    headers["Accept-Language"] = "de-CH, de;q=0.9, en;q=0.8"
    headers["X-Request-Id"] = "7d3c9a52-6f0b-4f0e-9a40-2b1c5e8d7f31"
    headers["X-Correlation-Id"] = "order-2026-11-24-000417"
    headers["X-Channel"] = "branch"
    headers["X-Region"] = "eu-central-1"
  end
  return function(count) return wrk.format("POST", nil, headers, start .. count .. ending) end
end

local function gets(file)
  local paths = {}
  for line in io.lines(file) do table.insert(paths, line) end
  return function(count) return wrk.format("GET", paths[(count - 1) % #paths + 1]) end
end

function init(args)
  sent, statuses = 0, {}
  if args[1] == "post" then
    format = posts(args[2], args[3] or "", args[4])
  else
    format = gets(args[2])
  end
end

function request()
  sent = sent + 1
  return format(sent)
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary, latency, requests)
  local total_sent, by_status = 0, {}
  for _, thread in ipairs(threads) do
    total_sent = total_sent + thread:get("sent")
    for status, count in pairs(thread:get("statuses")) do
      by_status[status] = (by_status[status] or 0) + count
    end
  end
  local pairs_text = {}
  for status, count in pairs(by_status) do
    table.insert(pairs_text, string.format("\"%d\":%d", status, count))
  end
  local e = summary.errors
  print(string.format(
    "RESULT {\"seconds\":%f,\"sent\":%d,\"statuses\":{%s},\"p50_ms\":%f,\"p99_ms\":%f," ..
    "\"socket_errors\":%d,\"timeouts\":%d}",
    summary.duration / 1e6, total_sent, table.concat(pairs_text, ","),
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write, e.timeout))
end
