package import Gateway

extension MemoryBudget {
    /// What a gateway reserves its messages of: this budget, but no more than half of it, so that sockets that are not read leave
    /// enough for requests.
    ///
    /// A message that is longer than that has room when it is alone.
    package func frames() -> Gateway.Holding {
        let half = MemoryBudget(limitBytes: limitBytes / 2)
        return { [self] bytes in
            let bytes = min(bytes, half.limitBytes)
            do throws(APIError) {
                let shares = [MemoryShare(of: half), MemoryShare(of: self)]
                for share in shares { try share.grow(by: bytes) }
                return Room(shares: shares)
            } catch { throw NoRoom() }
        }
    }
}

private struct Room: FrameRoom {
    let shares: [MemoryShare]

    func shrink(to bytes: Int) { for share in shares { share.shrink(to: bytes) } }
}
