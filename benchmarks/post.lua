-- wrk: POST a client with an email that nobody has had, and count what comes back by status.
--   wrk … URL -- RUN LOCAL_PART PREFER
-- RUN makes this run's emails different from every other's. Tells its counts as one line of JSON.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  sent, statuses = 0, {}
  tag = args[1] .. "-" .. number .. "-"
  ending = (args[2] or "") .. "@example.com\",\"name\":\"Ann\"}"
  headers = { ["Content-Type"] = "application/json" }
  if args[3] then headers["Prefer"] = args[3] end
end

function request()
  sent = sent + 1
  return wrk.format("POST", nil, headers, "{\"email\":\"" .. tag .. sent .. ending)
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
