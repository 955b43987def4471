"""Control: OSC, keys, MIDI and looks change parameters; status goes out; Link and MIDI clock give the beat."""
