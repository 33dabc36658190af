<?php
// The provider itself. One key signs; another may be announced that will.
$chosen = json_decode(file_get_contents(getenv('PROVIDER_OPTIONS')), true);
$metadata[$chosen['issuer']] = [
    'host' => '__DEFAULT__',
    'auth' => 'people',
    'privatekey' => $chosen['key'],
    'certificate' => $chosen['cert'],
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'saml20.sign.response' => $chosen['sign_response'],
    'assertion.encryption' => $chosen['encrypt'],
    'sign.logout' => true,
    'validate.logout' => true,
    'NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
    'authproc' => [
        // Its own way would be a hash of the name and a salt.
        3 => [
            'class' => 'saml:AttributeNameID',
            'attribute' => 'uid',
            'Format' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
        ],
    ],
];
if (isset($chosen['next_key'])) {
    $metadata[$chosen['issuer']] += [
        'new_privatekey' => $chosen['next_key'],
        'new_certificate' => $chosen['next_cert'],
    ];
}
