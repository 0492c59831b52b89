// Package schema turns Go types into JSON Schemas and reads arguments against
// them. It owns the struct tags that authors write; package sdk documents them.
// It knows nothing of tools, calls or hosts.
//
// Reading is as strict as the schema: what a host's check of the schema
// refuses, Decode refuses as well, so a tool's function never sees a value
// that its struct's tags rule out, whoever calls it.
package schema
