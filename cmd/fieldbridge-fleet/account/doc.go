// Package account is what the operator's tool asks of an AWS account: AWS IoT's
// control plane, S3 for files, and STS for who it is. It is the one room that imports
// AWS's SDK. Credentials come as all programs of AWS take them: from the environment,
// from the files in ~/.aws, or by a token of OIDC.
//
// An Account is safe for concurrent use.
package account
