<?php
// SimpleSAMLphp as an identity provider for tests. What a test chooses is in a file of JSON that is
// read anew for every request, so that keys and rules can change while it runs; its folder holds
// sessions and temporary files as well.
$chosen = json_decode(file_get_contents(getenv('PROVIDER_OPTIONS')), true);
$folder = dirname(getenv('PROVIDER_OPTIONS'));
$config = [
    'baseurlpath' => '/',
    'certdir' => $folder,
    'tempdir' => "$folder/temp",
    'loggingdir' => $folder,
    'datadir' => $folder,
    'secretsalt' => 'of a test',
    'auth.adminpassword' => bin2hex(random_bytes(16)),
    'timezone' => 'UTC',
    'logging.level' => 4,
    'logging.handler' => 'stderr',
    'enable.saml20-idp' => true,
    'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'session.phpsession.savepath' => $folder,
    'session.cookie.secure' => false,
    'session.cookie.samesite' => 'Lax',
    'session.phpsession.cookiename' => 'SimpleSAML',
    'language.default' => 'en',
    'metadata.sources' => [
        ['type' => 'flatfile', 'directory' => __DIR__],
        // The service provider as its own metadata describes it.
        ['type' => 'xml', 'file' => $chosen['metadata']],
    ],
    'store.type' => 'phpsession',
];
