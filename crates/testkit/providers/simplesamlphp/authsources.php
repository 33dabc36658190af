<?php
// People with a name, a password and attributes.
$chosen = json_decode(file_get_contents(getenv('PROVIDER_OPTIONS')), true);
$config = ['people' => ['exampleauth:UserPass'] + $chosen['people']];
