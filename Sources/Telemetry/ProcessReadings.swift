internal import Foundation

extension ProcessMetrics {
    /// What the system says of this process at this moment. What it does not say is left out.
    package func readings() -> [Reading] {
        var readings = [dropped(Double(Registry.shared.dropped.value))]
        if let fields = Self.fields() {
            let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
            readings.append(cpu((fields.number(.userTicks) + fields.number(.systemTicks)) / ticks))
            readings.append(threads(fields.number(.threads)))
            readings.append(virtual(fields.number(.virtualBytes)))
            readings.append(resident(fields.number(.residentPages) * Double(sysconf(Int32(_SC_PAGESIZE)))))
            if let boot = Self.bootTime { readings.append(start(boot + fields.number(.startTicks) / ticks)) }
        }
        if let count = Self.openDescriptors() { readings.append(descriptors(Double(count))) }
        var limit = rlimit()
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            readings.append(maximumDescriptors(Double(limit.rlim_cur)))
        }
        return readings
    }

    /// Places in `/proc/self/stat`, counted from the state, the first behind the name (proc(5) counts it as the third).
    private enum Field: Int {
        case userTicks = 11
        case systemTicks = 12
        case threads = 17
        case startTicks = 19
        case virtualBytes = 20
        case residentPages = 21
    }

    private struct Fields {
        let words: [Substring]
        func number(_ field: Field) -> Double { Double(words[field.rawValue]) ?? 0 }
    }

    private static func fields() -> Fields? {
        // The name stands in parentheses and may hold anything, also parentheses.
        guard let text = text(of: "/proc/self/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let words = text[text.index(after: end)...].split { $0.isWhitespace }
        return words.count > Field.residentPages.rawValue ? Fields(words: words) : nil
    }

    /// In seconds since 1970.
    private static let bootTime: Double? = text(of: "/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
        .flatMap { Double($0.dropFirst("btime ".count)) }

    /// New kernels tell the number as the folder's size; of others the entries are counted, one of which is the count's own.
    private static func openDescriptors() -> Int? {
        do {
            if let size = try FileManager.default.attributesOfItem(atPath: "/proc/self/fd")[.size] as? Int, size > 0 { return size }
            return try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count - 1
        } catch { return nil }
    }

    private static func text(of path: String) -> String? {
        // The size of these files is 0, so they are read to their end.
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}
