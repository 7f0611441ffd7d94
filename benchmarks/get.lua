-- wrk: GET paths in turn.   wrk … URL -- FILE   (one path a line)

local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(args)
  sent, statuses, paths = 0, {}, {}
  for line in io.lines(args[1]) do table.insert(paths, line) end
end

function request()
  sent = sent + 1
  return wrk.format("GET", paths[(sent - 1) % #paths + 1])
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
