// Package site takes messages from a broker of the site, as its client: with MQTT
// 5, or 3.1.1 where the broker knows nothing newer. A message is acknowledged
// when it is safe, in the order of arrival; what was not acknowledged when a
// connection ended comes again on the next one.
package site
