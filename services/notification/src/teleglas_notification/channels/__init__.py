"""Ways to reach people, all behind one port and one suite of tests."""
