/// The strangers among the connections: who of them has something to be done for them, and who has to go first. Only decides.
struct Strangers {
    /// Those of one address.
    private struct Crowd {
        var count = 0
        /// Who asks for nothing, in the order in which they began to; a turn is given once.
        var idle: [Int: ClientConnection] = [:]
        var nextTurn = 0
        /// Before it nobody has a turn any more.
        private var firstTurn = 0

        /// Who has asked for nothing the longest.
        mutating func firstIdle() -> ClientConnection? {
            guard !idle.isEmpty else { return nil }
            while true {
                if let first = idle[firstTurn] { return first }
                firstTurn += 1
            }
        }
    }

    private struct Place {
        /// Among those who ask for nothing; nil for who is at work.
        var turn: Int?
    }

    private var places: [ObjectIdentifier: Place] = [:]
    private var crowds: [String: Crowd] = [:]  // names of ours
    /// Of how many a request is being answered, or waits to be read.
    private(set) var atWork = 0

    var count: Int { places.count }

    func count(at address: String) -> Int { crowds[address]?.count ?? 0 }

    mutating func add(_ connection: ClientConnection, isAtWork: Bool) {
        places[connection.id] = Place(turn: nil)
        crowds[connection.address, default: Crowd()].count += 1
        atWork += 1
        if !isAtWork { set(connection, atWork: false) }
    }

    /// Nothing happens to one that is no stranger.
    mutating func remove(_ connection: ClientConnection) {
        set(connection, atWork: true)
        guard places.removeValue(forKey: connection.id) != nil else { return }
        atWork -= 1
        crowds[connection.address]?.count -= 1
        if crowds[connection.address]?.count == 0 { crowds[connection.address] = nil }
    }

    /// Nothing happens to one that is no stranger.
    mutating func set(_ connection: ClientConnection, atWork isAtWork: Bool) {
        guard let place = places[connection.id] else { return }
        if let turn = place.turn, isAtWork {
            crowds[connection.address]?.idle[turn] = nil
            places[connection.id]?.turn = nil
            atWork += 1
        } else if place.turn == nil, !isAtWork, let turn = crowds[connection.address]?.nextTurn {
            crowds[connection.address]?.idle[turn] = connection
            crowds[connection.address]?.nextTurn += 1
            places[connection.id]?.turn = turn
            atWork -= 1
        }
    }

    /// Removes who has asked for nothing the longest, of the address from which most have come of those that have any.
    mutating func takeIdle() -> ClientConnection? {
        while let largest = crowds.lazy.filter({ !$0.value.idle.isEmpty }).max(by: { $0.value.count < $1.value.count }) {
            if let connection = takeIdle(at: largest.key) { return connection }
        }
        return nil
    }

    /// Removes who of an address has asked for nothing the longest. Whose next request waits to be read is at work.
    mutating func takeIdle(at address: String) -> ClientConnection? {
        while let connection = crowds[address]?.firstIdle() {
            guard connection.hasUnread else {
                remove(connection)
                return connection
            }
            set(connection, atWork: true)
        }
        return nil
    }
}
