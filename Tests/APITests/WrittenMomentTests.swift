import Domain
import Testing

@testable import API

@Suite("Moments in forms") struct WrittenMomentTests {
    @Test(
        "are to the end of what was written",
        arguments: [
            ("2026-01-31T18:30", "2026-01-31 18:30:59.999999"), ("2026-01-31T18:30:05", "2026-01-31 18:30:05.999999"),
            ("2024-02-29T00:00:00.000", "2024-02-29 00:00:00.999999"), ("9999-12-31T23:59", "9999-12-31 23:59:59.999999"),
        ])
    func taken(text: String, moment: String) { #expect(Timestamp(written: text)?.text == moment) }

    @Test(
        "that there are not are none",
        arguments: [
            "", "2026-01-31", "2026-02-29T00:00", "2026-02-31T18:30", "2026-04-31T00:00", "2026-13-01T00:00", "2026-01-31T24:00",
            "1969-12-31T00:00", "2026-01-31T18:30:\u{0663}\u{0660}", "2026-01-31T18:30Z",
        ])
    func refused(text: String) { #expect(Timestamp(written: text) == nil) }
}
