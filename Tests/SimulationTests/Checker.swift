/// Judges a history by the rules of `Tests/Histories/checker.py`, and says which of them do not hold.
struct Checker {
    private let history: History
    private let collection: String
    /// Of each revision its item and its number there.
    private var place: [String: (item: String, number: Int)] = [:]
    private let revisions: [String: [String]]
    private let writes: [History.Write]
    private let seen: [History.Seen]
    private(set) var found: [String] = []

    /// All that is wrong with a history: a kind and words.
    static func check(_ history: History) -> [String] {
        let names = Set(history.writes.map(\.collection) + history.seen.map(\.collection) + history.revisions.keys).sorted()
        return names.flatMap { name in
            var checker = Checker(history, name)
            checker.check()
            return checker.found
        }
    }

    private init(_ history: History, _ collection: String) {
        (self.history, self.collection) = (history, collection)
        revisions = history.revisions[collection] ?? [:]
        writes = history.writes.filter { $0.collection == collection }
        seen = history.seen.filter { $0.collection == collection }.sorted { ($0.end, $0.begin) < ($1.end, $1.begin) }
        for (item, told) in revisions {
            for (number, revision) in told.enumerated() where place[revision] == nil { place[revision] = (item, number) }
        }
    }

    private mutating func check() {
        checkWrites()
        checkAccess()
        checkReaders()
        checkOrder()
    }

    private mutating func note(_ kind: String, _ words: String) { found.append("\(kind): \(words)") }

    private func isThere(_ item: String, _ revision: String) -> Bool { place[revision]?.item == item }

    private mutating func checkWrites() {
        var count: [String: Int] = [:]
        for told in revisions.values { for revision in told { count[revision, default: 0] += 1 } }
        for (revision, times) in count where times > 1 { note("twice", revision) }
        let written = Set(writes.flatMap { $0.items.map(\.revision) })
        for revision in count.keys where !written.contains(revision) { note("ghost", "nobody wrote \(revision)") }
        for write in writes {
            let there = write.items.map { isThere($0.item, $0.revision) }
            let isWhole = there.allSatisfy { $0 }
            let isSome = there.contains(true)
            if write.outcome == .done, !isWhole { note("lost", write.items[0].revision) }
            if write.outcome == .refused, isSome { note("ghost", "refused: \(write.items[0].revision)") }
            if write.outcome == .unknown, isSome, !isWhole { note("halves", write.items[0].revision) }
            guard isWhole else { continue }
            for (item, revision, after) in write.items {
                guard let after, let number = place[revision]?.number else { continue }
                if number == 0 || revisions[item]?[number - 1] != after { note("overwritten", revision) }
            }
        }
    }

    private mutating func checkAccess() {
        for gone in history.access where gone.collection == collection && !gone.isAllowed {
            let back = history.access.filter {
                $0.collection == collection && $0.isAllowed && $0.user == gone.user && $0.begin >= gone.begin
            }
            .map(\.begin).min()
            for one in seen where one.user == gone.user && one.begin > gone.end && (back.map { one.end < $0 } ?? true) {
                note("revoked", "\(one.reader) was told \(one.told.first?.revision ?? "that there is nothing new")")
            }
        }
    }

    private mutating func checkReaders() {
        var floor: [(time: Double, item: String, number: Int)] = []
        for write in writes where write.outcome == .done {
            for (_, revision, _) in write.items { if let at = place[revision] { floor.append((write.end, at.item, at.number)) } }
        }
        var states: [String: [String: Int]] = [:]
        var ends: [(begin: Double, end: Double, reader: String, known: [String: Int])] = []
        for (reader, records) in Dictionary(grouping: seen, by: \.reader).sorted(by: { $0.key < $1.key }) {
            var known: [String: Int] = [:]
            var stoken: String?
            for record in records {
                if !record.isFrame, record.since != stoken { note("still", "\(reader) went on elsewhere") }
                if !record.told.isEmpty, record.stoken == stoken { note("still", "\(reader) was told something at the same stoken") }
                stoken = record.stoken
                for told in record.told {
                    guard let at = place[told.revision], at.item == told.item else {
                        note("ghost", "\(reader) was told \(told.revision)")
                        continue
                    }
                    if at.number <= known[told.item] ?? -1 { note("backwards", "\(reader) was told \(told.revision)") }
                    known[told.item] = max(at.number, known[told.item] ?? -1)
                }
                guard !record.isFrame, record.isLast else { continue }
                ends.append((record.begin, record.end, reader, known))
                checkWhole(reader, known)
                if let stoken {
                    if let other = states[stoken], other != known { note("differs", reader) }
                    states[stoken] = known
                }
            }
        }
        for end in ends { for (item, number) in end.known { floor.append((end.end, item, number)) } }
        for end in ends {
            for must in floor where must.time < end.begin && end.known[must.item] ?? -1 < must.number {
                note("skipped", "\(end.reader) does not know \(revisions[must.item]?[must.number] ?? "")")
                break
            }
        }
    }

    private mutating func checkWhole(_ reader: String, _ known: [String: Int]) {
        for write in writes where write.items.count > 1 {
            let told = write.items.compactMap { place[$0.revision] }.map { $0.number <= known[$0.item] ?? -1 }
            if told.contains(true), told.contains(false) { note("halves", "\(reader) knows a part of \(write.items[0].revision)") }
        }
    }

    /// Whether the order of each item, of each reader and of time can all be true: whether their union has no circle.
    private mutating func checkOrder() {
        enum Point: Hashable {
            case write(Int)
            case time(Int)
        }
        var whole: [String: Point] = [:]
        for (number, write) in writes.enumerated() {
            for (_, revision, _) in write.items where place[revision] != nil { whole[revision] = .write(number) }
        }
        var following: [Point: Set<Point>] = [:]
        func precedes(_ before: Point?, _ after: Point?) {
            guard let before, let after, before != after else { return }
            following[before, default: []].insert(after)
            following[after, default: []].formUnion([])
        }
        for told in revisions.values { for (before, after) in zip(told, told.dropFirst()) { precedes(whole[before], whole[after]) } }
        for records in Dictionary(grouping: seen, by: \.reader).values {
            let told = records.flatMap(\.told).map(\.revision).filter { place[$0] != nil }
            for (before, after) in zip(told, told.dropFirst()) { precedes(whole[before], whole[after]) }
        }
        let done = writes.indices.filter { writes[$0].outcome == .done && writes[$0].items.allSatisfy { place[$0.revision] != nil } }
        let moments = done.map { writes[$0].end }.sorted()
        for index in moments.indices.dropFirst() { precedes(.time(index - 1), .time(index)) }
        for number in done {
            if let at = moments.lastIndex(where: { $0 < writes[number].begin }) { precedes(.time(at), .write(number)) }
            if let at = moments.firstIndex(of: writes[number].end) { precedes(.write(number), .time(at)) }
        }
        var waiting: [Point: Int] = [:]
        for points in following.values { for point in points { waiting[point, default: 0] += 1 } }
        var free = following.keys.filter { waiting[$0, default: 0] == 0 }
        var count = 0
        while let point = free.popLast() {
            count += 1
            for after in following[point] ?? [] {
                waiting[after, default: 0] -= 1
                if waiting[after] == 0 { free.append(after) }
            }
        }
        if count < following.count { note("order", "of \(collection)") }
    }
}
