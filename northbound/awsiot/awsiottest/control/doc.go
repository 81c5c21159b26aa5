// Package control is the HTTP side of an AWS account, as much of it as a fleet's
// operator needs: AWS IoT's control plane (things, groups, types, certificates, CAs,
// policies, provisioning templates and claims, jobs, streams, search), the data
// planes of shadows and jobs, a small S3, and who the caller is. Each request must be
// signed (Signature Version 4).
//
// It is an http.Handler for any host: the signature's scope tells which service is
// meant. A Server is safe for concurrent use.
package control
