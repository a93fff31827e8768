-- A POST of one body on every connection; the counts of answers that were no 200 are in summary.errors.status.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

init = function(words)
   local file = io.open(words[1], "rb")
   wrk.body = file:read("*a")
   file:close()
end

done = function(summary, latency)
   local lost = summary.errors.connect + summary.errors.read + summary.errors.write
   io.write(string.format("\nRESULT %d %d %d %d %.3f %.3f %.3f\n", summary.duration, summary.requests, summary.errors.status,
                          lost, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
