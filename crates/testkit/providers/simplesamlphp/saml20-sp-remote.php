<?php
// Another service of the company. A test may ask in its name and have the answer brought to us.
$chosen = json_decode(file_get_contents(getenv('PROVIDER_OPTIONS')), true);
$metadata['urn:another-service'] = ['AssertionConsumerService' => $chosen['other_acs']];
