// Package workspace keeps a session's files: four zones that are folders under
// one directory, each seen through views that hold to an access, inside a jail,
// within a quota.
//
// # Zones and access
//
// A view is one zone under one [abi.Access], and it is enforced beside the
// effect, never in the caller: none opens nothing; read lists and reads; append
// also makes new files and folders and adds at the end of files; write does
// everything. A view for append opens every file for writing in the operating
// system's append mode, so that even a write which slipped past the checks here
// could only add. A write elsewhere than at the end, truncation, renaming,
// deleting and setting times are refused.
//
// A refusal is an *abi.Error of code permission_denied. Where the zone's own
// rule ([abi.ZoneRule]) stands in the way its message names that rule; where
// only the grant is too small, its Grant names the one that is lacking.
//
// # The jail
//
// Names are relative, slash-separated and checked by [Clean]; every step of a
// path is resolved by [os.Root], so a symbolic link, which only a process that
// works in the folder can have made, is followed inside its zone and nowhere
// else. Links can't be made through this package. Nothing is opened but regular
// files and folders: opening never waits, and what was opened is looked at
// again on its descriptor, so a pipe, socket or device put in place of a file
// between the two is refused too. Which operations are allowed doesn't depend
// on anything that a path could be swapped for in the meantime.
//
// What the jail does not defend against: a process under the host's own account
// that is not walled in can make hard links to files of its file system and
// mount points, and both are read and written as what they seem to be; it can
// also change what is in store. Walls for processes are the business of those
// who start them. A file that loses its name while it is open stays readable
// and writable through the handles that are open.
//
// # Quota
//
// Bytes, entries (files and folders together) and the size of one file are
// bounded. A file counts its length, holes included, under each of its names;
// a file without a name counts until its last handle here is closed. Whatever
// goes through this package is counted as it happens and refused before it
// would pass the bound, so by itself it never overshoots. Replacing a file by
// [FS.Put] needs room for the old and the new one together.
//
// A process writes to the folders directly, and nobody here can stop it. What
// it wrote is seen when the folders are measured next: at once after
// [Workspace.Changed], else when Config.RemeasureAfter has passed, and before a
// write is refused. So the workspace can pass its quota by what processes write
// themselves, and by what plugins add between such a write and the next
// measurement, which is at most what was left of the quota at the last one. No
// more than a tenth of the time is spent measuring, save by calls of Changed:
// where one walk took long, the next waits ten times as long.
//
// # Owner
//
// Processes may work under an account of their own, Config.Owner, and whatever
// is made here is given to it, so that they can change what they may. What they
// make themselves belongs to them, and a host that runs as root reads and
// writes it whatever its mode says.
//
// # What it isn't
//
// It knows neither plugins nor HTTP nor WebAssembly, starts nothing, and writes
// no audit: whoever binds a view to a caller does. Two Workspaces over one
// directory at once are the caller's mistake, and aren't noticed.
package workspace
