# Verifies `v1` with the standard library of Ruby. `headers` by lower-case name, `body` raw.
require "base64"
require "json"
require "openssl"

def verify(secret, headers, body)
  timestamp = headers["webhook-timestamp"].to_s
  return false unless timestamp.match?(/\A\d+\z/) && (Time.now.to_i - timestamp.to_i).abs <= 300
  key = Base64.strict_decode64(secret.delete_prefix("whsec_"))
  signed = "#{headers["webhook-id"]}.#{timestamp}.#{body}"
  wanted = Base64.strict_encode64(OpenSSL::HMAC.digest("SHA256", key, signed))
  headers["webhook-signature"].to_s.split(" ").any? do |entry|
    version, given = entry.split(",", 2)
    version == "v1" && OpenSSL.secure_compare(wanted, given.to_s)
  end
end

JSON.parse($stdin.read).each do |delivery|
  genuine = verify(delivery["secret"], delivery["headers"], delivery["body"])
  puts genuine ? "genuine" : "refused"
end
