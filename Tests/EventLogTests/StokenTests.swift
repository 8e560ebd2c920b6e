import Domain
import EventLog
import Testing

@Suite("Stokens") struct StokenTests {
    private let sealer = StokenSealer(secret: Array("secret".utf8))
    private static let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    @Test(
        "are for ever the same, since clients and tables keep them; these were made with Python's hashlib",
        arguments: [
            (1, 1, "HwWiQz7JoweOdfWcy_vx5dh-2ia9eZFv"), (1, 2, "8zEVh8cHgJnlZ4nXAmphiABX-V2kFAoW"),
            (2, 1, "LlDpcXhrbGFrtb6iIZJ_qMXp5-D-yypT"), (1, 1_000_000_000_000, "OzlOSlik1ddNRvi-8XZf1dIL_43DKGN7"),
            (4_294_967_295, Int64.max, "zkaPCFLucdx-OaS42tnEGEo9kohv2i2Q"), (1, 0, "NUDpB9nT808FFUoiF6FqM2JBqhHUV7dz"),
        ] as [(Int64, Int64, String)])
    func golden(epoch: Int64, position: Int64, stoken: String) {
        let head = LogHead(position: Position(rawValue: position), epoch: epoch)
        #expect(sealer.stoken(head) == stoken)
        #expect(sealer.open(stoken) == head)
    }

    @Test("are of 32 URL-safe characters, all different, and lead back to their positions") func roundTrip() {
        var seen: Set<String> = []
        for position in Int64(1)...2000 {
            let head = LogHead(position: Position(rawValue: position * position), epoch: position % 3 + 1)
            let stoken = sealer.stoken(head)
            #expect(stoken.count == 32 && stoken.allSatisfy(Self.alphabet.contains))
            #expect(sealer.open(stoken) == head)
            seen.insert(stoken)
        }
        #expect(seen.count == 2000)
    }

    @Test("with any one character changed are refused") func changed() {
        let stoken = Array(sealer.stoken(LogHead(position: Position(rawValue: 12345), epoch: 1)))
        for index in stoken.indices {
            for character in Self.alphabet + "+/=é\0 " where character != stoken[index] {
                var changed = stoken
                changed[index] = character
                #expect(sealer.open(String(changed)) == nil)
            }
        }
    }

    @Test("of another length are refused") func lengths() {
        let stoken = sealer.stoken(LogHead(position: Position(rawValue: 1), epoch: 1))
        for text in ["", "AAAA", String(stoken.dropLast()), String(stoken.dropLast(4)), stoken + "A", stoken + "AAAA", stoken + stoken] {
            #expect(sealer.open(text) == nil)
        }
    }

    @Test("of another server are refused") func otherSecret() {
        let other = StokenSealer(secret: Array("secret2".utf8))
        let head = LogHead(position: Position(rawValue: 1), epoch: 1)
        #expect(other.open(sealer.stoken(head)) == nil)
        #expect(other.stoken(head) != sealer.stoken(head))
    }
}
