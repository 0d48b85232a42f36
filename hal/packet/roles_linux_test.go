package packet

const roleVar = "RINGTAIL_PACKET_TEST_ROLE"

func asNobody(string) int { return 2 }
