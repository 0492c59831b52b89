package abi

import "strings"

// Version is the ABI's version. It is part of every exported function's name,
// so the name of the call export chooses the import set.
const Version = 1

// Exports of a plugin. Memory is the module's linear memory; Initialize is
// optional and runs once, before anything else.
const (
	ExportMemory     = "memory"
	ExportInitialize = "_initialize"
	ExportArena      = "sallyport_v1_arena"    // (n i32) → ptr i32
	ExportDescribe   = "sallyport_v1_describe" // () → ptr<<32|len i64
	ExportCall       = "sallyport_v1_call"     // (tool i32, n i32) → ptr<<32|len i64
)

// ExportPrefix starts the name of every Sallyport export of any version.
const ExportPrefix = "sallyport_v"

// Import modules, one a capability. Every plugin may import ModuleCall; the
// others only when its manifest requests the capability.
const (
	ModulePrefix  = "sallyport:"
	ModuleCall    = "sallyport:call"
	ModuleKernel  = "sallyport:kernel"
	ModuleBrowser = "sallyport:browser"
	ModuleLatex   = "sallyport:latex"
	ModuleHTTP    = "sallyport:http"
	ModuleProcess = "sallyport:process"
	ModuleTool    = "sallyport:tool"
)

// ModuleWASI is the one foreign import module a plugin may use.
const ModuleWASI = "wasi_snapshot_preview1"

// FuncResponse is sallyport:call's one function of a different shape:
// response(ptr i32, cap i32) → i64, the length of the pending response.
const FuncResponse = "response"

// Operations, each named capability.function; the import is the function of
// that name in the capability's module.
const (
	OpCallLog      = "call.log"
	OpCallProgress = "call.progress"
	OpCallConfig   = "call.config"
	OpCallWait     = "call.wait"
	OpCallCancel   = "call.cancel"

	OpKernelExecute   = "kernel.execute"
	OpKernelInterrupt = "kernel.interrupt"
	OpKernelReset     = "kernel.reset"
	OpKernelStatus    = "kernel.status"

	OpHTTPFetch = "http.fetch"
	OpHTTPRead  = "http.read"
	OpHTTPClose = "http.close"

	OpToolCall = "tool.call"
)

// Ops lists every operation of this version, in a fixed order.
func Ops() []string {
	return []string{
		OpCallLog, OpCallProgress, OpCallConfig, OpCallWait, OpCallCancel,
		OpKernelExecute, OpKernelInterrupt, OpKernelReset, OpKernelStatus,
		OpHTTPFetch, OpHTTPRead, OpHTTPClose,
		OpToolCall,
	}
}

// SplitOp returns the import module and the function of an operation:
// "kernel.execute" is "sallyport:kernel" and "execute".
func SplitOp(op string) (module, function string) {
	capability, function, _ := strings.Cut(op, ".")
	return ModulePrefix + capability, function
}

// Custom sections of a plugin's module. Both can be read without running it.
const (
	SectionManifest = "sallyport.manifest" // a Manifest, JSON
	SectionFiles    = "sallyport.files"    // a zip archive, mounted at /skill
)

// Mount points in the guest, in the order of their descriptors (3, 4, …). The
// table is the same for every plugin: a zone that was not granted is there,
// and answers EACCES.
const (
	MountUpload = "/upload"
	MountOutput = "/output"
	MountStore  = "/store"
	MountDeploy = "/deploy"
	MountSkill  = "/skill"
	MountTmp    = "/tmp"
)

// Mounts lists the mount points in their order.
func Mounts() []string {
	return []string{MountUpload, MountOutput, MountStore, MountDeploy, MountSkill, MountTmp}
}

// Bounds that both sides keep.
const (
	MaxHeaderBytes = 4 << 20  // a frame's JSON header
	MaxFrameBytes  = 64 << 20 // a whole frame
	MaxToolName    = 64       // plugin_tool
	MaxCodeBytes   = 1 << 20  // the code of one kernel.execute
	MaxTimeoutMS   = 24 * 60 * 60 * 1000

	MaxToolDepth     = 4        // calls of tools within calls of tools
	MaxTableElements = 1 << 20  // of all tables of a plugin
	MaxStackKiB      = 32 << 10 // of a call's stack

	// Of one call of a tool. The host answers resource_exhausted beyond them.
	MaxTasks      = 16     // async tasks whose response hasn't been fetched
	MaxOperations = 10_000 // operations of capabilities
	MaxLogLines   = 1_000
	MaxProgress   = 1_000

	// What is longer is cut.
	MaxLogMessageBytes = 4 << 10 // the message of a log line or of a progress report
	MaxLogFieldBytes   = 1 << 10 // the value of one field of a log line
	MaxLogFields       = 32
)
