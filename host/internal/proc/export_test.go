package proc

// Without returns a Starter like s whose children lack these walls: what the
// tests hold the walls against.
func (s *Starter) Without(names ...string) *Starter {
	for _, name := range names {
		if !s.walls.stand(name) {
			panic("there is no wall " + name)
		}
	}
	fewer := *s
	fewer.walls = s.walls.without(names...)
	return &fewer
}
