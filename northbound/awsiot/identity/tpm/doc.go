// Package tpm makes and uses keys that never leave a TPM 2.0.
//
// A key lies in a file that only the TPM that made it can use, encrypted by it: the
// PEM block TSS2 PRIVATE KEY that OpenSSL's tpm2 provider and others read and write
// ("ASN.1 Specification for TPM 2.0 Key Files"). Or it lies in the TPM itself, under a
// persistent handle, as other programs make them.
//
// The six commands that are needed stand here byte by byte ("Trusted Platform Module
// Library, Part 3: Commands", revision 1.59): a library for all of them costs the
// program a megabyte. The device is opened for each signature and closed after it, so
// that nothing is left in the TPM and no fault outlives the signature.
package tpm
