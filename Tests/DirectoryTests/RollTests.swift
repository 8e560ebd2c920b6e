import Domain
import Testing

@testable import Directory

/// What follows from what a directory has said: in minutes after the first answer, where answers are good for an hour and hold for a
/// day more.
@Suite struct RollTests {
    private let start = ContinuousClock.now
    private let alice = UserID(rawValue: 1)
    private let listed = Listing(isAdmin: false)

    private func roll() -> Roll { Roll(freshness: .seconds(3600), grace: .seconds(86_400)) }
    private func after(minutes: Double) -> ContinuousClock.Instant { start + .seconds(minutes * 60) }

    @Test func whoeverIsNewIsAskedFor() {
        var roll = roll()
        #expect(roll.use(by: alice, at: start) == .unknown)
    }

    @Test func whoeverIsListedIsLetInWithoutAQuestionAsLongAsThatIsGood() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        #expect(roll.use(by: alice, at: start) == .admitted)
        #expect(roll.use(by: alice, at: after(minutes: 60)) == .admitted)
        // The question is asked behind requests; when it comes to nothing for a minute, they wait for it.
        #expect(roll.use(by: alice, at: after(minutes: 62)) == .unknown)
    }

    @Test func answersAreAskedForAgainOnceTheyAreOldTheOldestFirst() {
        var roll = roll()
        let bob = UserID(rawValue: 2)
        roll.note(listed, of: bob, at: after(minutes: 1))
        roll.note(listed, of: alice, at: start)
        #expect(roll.due(at: after(minutes: 59)).isEmpty)
        #expect(roll.due(at: after(minutes: 60)) == [alice])
        #expect(roll.due(at: after(minutes: 61)) == [alice, bob])
    }

    @Test func whoeverDoesNothingForADayIsForgotten() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        #expect(roll.due(at: after(minutes: 1440)) == [alice])
        #expect(roll.due(at: after(minutes: 1441)).isEmpty)
        #expect(roll.use(by: alice, at: after(minutes: 1441)) == .unknown)
    }

    @Test func whoeverIsNotListedIsRefusedAndAskedForAgainSoon() {
        var roll = roll()
        roll.note(nil, of: alice, at: start)
        #expect(roll.use(by: alice, at: after(minutes: 0.1)) == .refused)
        #expect(roll.use(by: alice, at: after(minutes: 0.2)) == .unknown)
    }

    @Test func whileTheDirectoryIsAwayTheLastAnswerHoldsForTheTimeOfGrace() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        roll.failed(at: after(minutes: 30))
        #expect(roll.use(by: alice, at: after(minutes: 90)) == .admitted)
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1440)) == .admitted)
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1441)) == .unavailable)
        roll.answered()
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1441)) == .unknown)
    }

    @Test func whileTheDirectoryIsAwayARefusalHoldsToo() {
        var roll = roll()
        roll.note(nil, of: alice, at: start)
        roll.failed(at: start)
        #expect(roll.use(by: alice, at: after(minutes: 90)) == .refused)
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1441)) == .unavailable)
    }

    @Test func nobodyNewWaitsForADirectoryThatIsAway() {
        var roll = roll()
        roll.failed(at: start)
        #expect(roll.use(by: alice, at: start) == .unavailable)
    }

    @Test func graceBeginsWithTheFirstFailure() {
        var roll = roll()
        roll.failed(at: start)
        roll.failed(at: after(minutes: 1000))
        #expect(!roll.isGraceOver(at: after(minutes: 1440)))
        #expect(roll.isGraceOver(at: after(minutes: 1441)))
    }

    @Test func whoeverHasLeftIsToldOnce() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        #expect(roll.newlyOut(at: start).isEmpty)
        roll.note(nil, of: alice, at: after(minutes: 60))
        #expect(roll.newlyOut(at: after(minutes: 60)) == [alice])
        #expect(roll.newlyOut(at: after(minutes: 60)).isEmpty)
        roll.note(listed, of: alice, at: after(minutes: 61))
        #expect(roll.newlyOut(at: after(minutes: 61)).isEmpty)
        roll.note(nil, of: alice, at: after(minutes: 62))
        #expect(roll.newlyOut(at: after(minutes: 62)) == [alice])
    }

    @Test func whoseGraceIsOverIsToldToo() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        roll.failed(at: start)
        #expect(roll.newlyOut(at: after(minutes: 1500)).isEmpty)
        #expect(roll.newlyOut(at: after(minutes: 1501)) == [alice])
    }

    @Test func whoAdministersIsSaidByTheLastAnswer() {
        var roll = roll()
        roll.note(Listing(isAdmin: true), of: alice, at: start)
        #expect(roll.isAdmin(alice))
        roll.note(listed, of: alice, at: start)
        #expect(!roll.isAdmin(alice))
    }
}
