<?php
// Verifies `v1` with nothing but what comes with PHP. $headers by lower-case name, $body raw.
function verify(string $secret, array $headers, string $body): bool
{
    $timestamp = $headers['webhook-timestamp'] ?? '';
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    $signed = ($headers['webhook-id'] ?? '') . '.' . $timestamp . '.' . $body;
    $wanted = base64_encode(hash_hmac('sha256', $signed, $key, true));
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $entry) {
        [$version, $given] = array_pad(explode(',', $entry, 2), 2, '');
        if ($version === 'v1' && hash_equals($wanted, $given)) {
            return true;
        }
    }
    return false;
}

foreach (json_decode(stream_get_contents(STDIN), true) as $delivery) {
    $genuine = verify($delivery['secret'], $delivery['headers'], $delivery['body']);
    echo $genuine ? 'genuine' : 'refused', PHP_EOL;
}
