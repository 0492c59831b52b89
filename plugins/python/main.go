// Command python is the plugin that runs Python for an agent. The kernel is the
// host's; what an agent may ask for and what it gets to read is decided here.
package main

import (
	"time"

	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

const runDescription = `Run Python code and see what it prints, its last expression's value, its figures and its errors.

Variables, imports and functions stay from one call to the next, so work in small steps. The working directory has upload/ (the user's files, read-only), output/ (for results: save files and figures here) and store/ (kept notes, read-only from Python). numpy, pandas and matplotlib are there. Figures that are shown come back as images. When the time is over the code is interrupted, and what it printed and its variables are kept. The network is what the operator granted and no more, through a proxy that urllib and most libraries find by themselves; where nothing was granted there is none, so don't install packages.`

type runArgs struct {
	Code    string  `json:"code" doc:"the Python code, as in a notebook cell; the value of the last expression is shown" minLength:"1"`
	Timeout float64 `json:"timeout_seconds,omitempty" doc:"interrupt the code after this many seconds; without it, after the longest time that the operator allows" minimum:"0.1" maximum:"600"`
}

type none struct{}

func init() {
	sdk.Tool("run", runDescription, run)
	sdk.Tool("reset", "Start Python afresh: variables, imports and functions are gone, files are kept. Use it when the state is in the way or memory is short; to stop code that runs too long, give python_run a timeout instead.", reset)
	sdk.Tool("status", "Tell whether Python is running, idle or not started, and how much it has run.", status, sdk.ReadOnly())
}

func run(ctx sdk.Context, in runArgs) (sdk.Result, error) {
	done, err := kernel.Stream(ctx, kernel.Request{
		Code:     in.Code,
		Language: "python",
		Timeout:  time.Duration(in.Timeout * float64(time.Second)),
	})
	if err != nil {
		return sdk.Result{}, err
	}
	return shape(done), nil
}

func reset(ctx sdk.Context, _ none) (string, error) {
	if err := kernel.Reset(ctx, "python"); err != nil {
		return "", err
	}
	return "Python starts afresh: variables, imports and functions are gone, files are kept.", nil
}

// A state is what an agent can use of a kernel's.
type state struct {
	State      string `json:"state" doc:"none (not started), starting, idle or busy"`
	Executions int    `json:"executions" doc:"runs since it was started"`
	Queued     int    `json:"queued" doc:"runs that wait for their turn"`
	Starts     int    `json:"starts" doc:"how often it was started in this session; more than 1 means that variables were lost or reset"`
	LastExit   string `json:"last_exit,omitempty" doc:"why the one before it ended"`
}

func status(ctx sdk.Context, _ none) (state, error) {
	s, err := kernel.Status(ctx, "python")
	if err != nil {
		return state{}, err
	}
	return state{State: s.State, Executions: s.Executions, Queued: s.Queued, Starts: s.Starts, LastExit: s.LastExit}, nil
}

func main() {}
