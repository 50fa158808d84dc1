package deployment

// state is where a follower stands with its deployment.
type state string

// The states.
const (
	advancing       state = "advancing"
	paused          state = "paused"
	rollbackPending state = "rollback pending"
	rollingBack     state = "rolling back"
	ended           state = "ended"
)

// event is what moves a follower from one state to another.
type event string

// The events.
const (
	pauseReached       event = "ECS waits for approval"
	pauseAnswered      event = "the pause was answered"
	rollbackUnanswered event = "a rollback is needed, and its request got no answer"
	rollbackAccepted   event = "ECS accepted our rollback"
	rollbackElsewhere  event = "ECS, or somebody else, began a rollback"
	deploymentEnded    event = "ECS reports a final status"
)

// transition is one row of the table below.
type transition struct {
	from state
	on   event
	to   state
	// why explains what the new state changes.
	why string
}

// transitions is the whole state machine; docs/rollout.md shows it. An event that has no row
// for a state leaves it as it is.
var transitions = []transition{
	{advancing, pauseReached, paused, "time at a pause does not count against the deadline"},
	{advancing, rollbackUnanswered, rollbackPending, "the request is repeated at every look, for up to 5 minutes"},
	{advancing, rollbackAccepted, rollingBack, "nothing more is judged; the rollback has 15 minutes"},
	{advancing, rollbackElsewhere, rollingBack, "nothing more is judged; the rollback has 15 minutes"},
	{advancing, deploymentEnded, ended, "the verdict follows from the status, and from what runs"},
	{paused, pauseAnswered, advancing, "the deadline starts again"},
	{paused, rollbackUnanswered, rollbackPending, "the request is repeated at every look, for up to 5 minutes"},
	{paused, rollbackAccepted, rollingBack, "nothing more is judged; the rollback has 15 minutes"},
	{paused, rollbackElsewhere, rollingBack, "nothing more is judged; the rollback has 15 minutes"},
	{paused, deploymentEnded, ended, "the verdict follows from the status, and from what runs"},
	{rollbackPending, rollbackAccepted, rollingBack, "nothing more is judged; the rollback has 15 minutes"},
	{rollbackPending, rollbackElsewhere, rollingBack, "nothing more is judged; the rollback has 15 minutes"},
	{rollbackPending, deploymentEnded, ended, "the verdict follows from the status, and from what runs"},
	{rollingBack, deploymentEnded, ended, "the verdict follows from the status, and from what runs"},
}

// next is the state after an event.
func (s state) next(on event) state {
	for _, t := range transitions {
		if t.from == s && t.on == on {
			return t.to
		}
	}
	return s
}

// on moves the follower to its next state.
func (f *follower) on(e event) { f.state = f.state.next(e) }
