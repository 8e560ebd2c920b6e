/// What somebody may have meant who has misspelt a name.
enum Spelling {
    /// More letters than these are not a slip.
    private static let mostSlips = 3

    /// The one of the names that differs by the fewest letters, if it is by few.
    static func nearest(to word: String, in names: [String]) -> String? {
        let found = names.map { (name: $0, distance: distance(Array($0.utf8), Array(word.utf8.prefix(100)))) }
            .min { $0.distance < $1.distance }
        return found.flatMap { $0.distance <= mostSlips ? $0.name : nil }
    }

    /// How many letters must be put in, left out or replaced.
    private static func distance(_ first: [UInt8], _ second: [UInt8]) -> Int {
        var row = Array(0...second.count)
        for (index, letter) in first.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in second.indices {
                let replaced = diagonal + (second[column] == letter ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[second.count]
    }
}
